package gnutls

// Lender is what package bridge gets.
var Lender lender
