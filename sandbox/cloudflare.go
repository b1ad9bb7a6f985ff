package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alorig/fleet/internal/cloudflaretest"
)

// apiAddress is where the emulated API listens: alorig:cloudflareApiHostname.
const apiAddress = "localhost:18443"

// serve answers as the Cloudflare API until it is ended.
func serve(ctx context.Context, s sandbox) error {
	own, err := s.secrets()
	if err != nil {
		return err
	}
	read, err := s.settings()
	if err != nil {
		return err
	}
	domains := map[string]string{}
	for domain, id := range read.Zones {
		domains[id] = domain
	}
	api, err := cloudflaretest.New(own.Values["cloudflareApiToken"], domains, s.file("records.json"))
	if err != nil {
		return err
	}
	api.Limit = 1200 // Cloudflare's own, in five minutes
	certificate, err := tls.LoadX509KeyPair(s.file("api.pem"), s.file("api.key"))
	if err != nil {
		return err
	}
	server := &http.Server{
		Addr: apiAddress, Handler: api, ReadHeaderTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}
	go func() {
		<-ctx.Done()
		_ = server.Close() // there is nobody left to tell
	}()
	if err := server.ListenAndServeTLS("", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// startCloudflare runs the emulated API in the background, unless it does run.
func (s sandbox) startCloudflare(ctx context.Context) error {
	if err := s.writeCertificate(); err != nil {
		return fmt.Errorf("making the emulated API's certificate: %w", err)
	}
	if answers() {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(s.file("api.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the process has its own
	cmd := exec.Command(self, "serve")
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.root, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := os.WriteFile(s.file("api.pid"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		return err
	}
	for range 100 {
		if answers() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("the emulated Cloudflare API does not listen on %s; see %s", apiAddress, s.file("api.log"))
}

func answers() bool {
	c, err := net.DialTimeout("tcp", apiAddress, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close() // nothing was written
	return true
}

func (s sandbox) stopCloudflare() error {
	text, err := os.ReadFile(s.file("api.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if pid, err := strconv.Atoi(string(text)); err == nil && serves(pid) {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return os.Remove(s.file("api.pid"))
}

// serves tells whether the process is an emulated API. After a restart of the machine its
// number may be anybody's.
func serves(pid int) bool {
	words, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.HasSuffix(string(words), "\x00serve\x00")
}

// Where Linux distributions keep the authorities that are trusted anyway.
var systemAuthorities = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"}

// writeCertificate makes the API's own certificate, once, and a list of authorities
// that holds it beside the machine's.
func (s sandbox) writeCertificate() error {
	if _, err := os.Stat(s.file("authorities.pem")); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Alorig sandbox"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	var authorities bytes.Buffer
	for _, path := range systemAuthorities {
		if text, err := os.ReadFile(path); err == nil {
			authorities.Write(text)
			break
		}
	}
	authorities.Write(certificate)
	for name, text := range map[string][]byte{
		"api.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		"api.pem": certificate,
	} {
		if err := os.WriteFile(s.file(name), text, 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(s.file("authorities.pem"), authorities.Bytes(), 0o600)
}
