package redisstore_test

import (
	"log"
	"net/http"
	"os"

	"github.com/redis/go-redis/v9"

	"github.com/gnucoap/gnucoap/contrib/redisstore"
	"github.com/gnucoap/gnucoap/gnutls"
)

func Example() {
	secret, err := os.ReadFile("/run/secrets/ticket-key") // 64 random bytes
	if err != nil {
		log.Fatal(err)
	}
	key, err := gnutls.ParseTicketKey(secret)
	if err != nil {
		log.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: "redis:6379"})
	store, err := redisstore.New(client, redisstore.Options{Key: key})
	if err != nil {
		log.Fatal(err)
	}
	cert, err := gnutls.LoadX509KeyPair("server.pem", "server.key")
	if err != nil {
		log.Fatal(err)
	}
	ln, err := gnutls.Listen("tcp", ":8443", &gnutls.Config{
		Certificates: []gnutls.Certificate{cert},
		TicketKey:    key,
		SessionStore: store,
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(ln, nil))
}
