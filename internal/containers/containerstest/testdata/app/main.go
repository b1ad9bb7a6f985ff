// Command app is the program of the containers that tests make. Its environment says how it
// behaves:
//
//	BOOT=1s       it listens after that time
//	DEAF=1        it never listens
//	EXIT=3        it ends with that code when it has booted
//	CRASHES=2     it ends so often before it listens, counted over restarts
//	STUBBORN=1    it ignores SIGTERM
//	HANGS=1       its probe never ends
//	MODULES="a b" `caddy list-modules` prints them
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const address = ":8000"

func main() {
	switch os.Args[1] {
	case "serve":
		serve()
	case "probe":
		probe()
	case "environment":
		for _, pair := range os.Environ() {
			fmt.Printf("%q\n", pair)
		}
	case "list-modules":
		fmt.Println(strings.ReplaceAll(os.Getenv("MODULES"), " ", "\n"))
	case "silent": // ends some time after it has closed what it prints to
		check(os.Stdout.Close())
		check(os.Stderr.Close())
		time.Sleep(time.Second)
		os.Exit(3)
	case "copy": // says how much it was given
		n, err := os.Stdout.ReadFrom(os.Stdin)
		check(err)
		fmt.Fprint(os.Stderr, n)
	}
}

func serve() {
	if os.Getenv("STUBBORN") != "" {
		signal.Ignore(syscall.SIGTERM)
	}
	if boot, err := time.ParseDuration(os.Getenv("BOOT")); err == nil {
		time.Sleep(boot)
	}
	if code, err := strconv.Atoi(os.Getenv("EXIT")); err == nil {
		os.Exit(code)
	}
	if crashes, err := strconv.Atoi(os.Getenv("CRASHES")); err == nil {
		before, _ := os.ReadFile("/crashes")
		if len(before) < crashes {
			check(os.WriteFile("/crashes", append(before, '.'), 0o600))
			os.Exit(4)
		}
	}
	if os.Getenv("DEAF") != "" {
		time.Sleep(time.Hour)
	}
	listener, err := net.Listen("tcp", address)
	check(err)
	for {
		connection, err := listener.Accept()
		check(err)
		check(connection.Close())
	}
}

func probe() {
	if os.Getenv("HANGS") != "" {
		time.Sleep(time.Hour)
	}
	connection, err := net.Dial("tcp", "127.0.0.1"+address)
	check(err)
	check(connection.Close())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
