module github.com/gnucoap/gnucoap/bench

go 1.24.0

replace github.com/gnucoap/gnucoap => ../

require (
	github.com/gnucoap/gnucoap v0.0.0-00010101000000-000000000000
	github.com/pion/dtls/v3 v3.1.2
	github.com/plgd-dev/go-coap/v3 v3.5.4
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/dsnet/golib/memfile v1.0.0 // indirect
	github.com/mattn/go-pointer v0.0.1 // indirect
	github.com/pion/logging v0.2.4 // indirect
	github.com/pion/transport/v4 v4.0.1 // indirect
	go.uber.org/atomic v1.11.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/crypto v0.46.0 // indirect
	golang.org/x/exp v0.0.0-20240904232852-e7e105dedf7e // indirect
	golang.org/x/net v0.48.0 // indirect
	golang.org/x/sync v0.11.0 // indirect
	golang.org/x/sys v0.39.0 // indirect
)
