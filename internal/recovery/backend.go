package recovery

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/fileblob" // file://
	_ "gocloud.dev/blob/s3blob"   // s3://
)

// backend is where the state is stored.
type backend struct {
	bucket *blob.Bucket // nil for Pulumi Cloud, which has no lock files
	shown  string       // the address without credentials
	// directory is that of a file:// backend; "" for another kind.
	directory string
}

// holdsLocks reports a backend that stores its locks as files.
func (b *backend) holdsLocks() bool { return b.bucket != nil }

// readable says why a directory of the backend cannot be listed. The library that lists
// passes over what it cannot read on this machine, as if there were nothing.
func (b *backend) readable(directory string) error {
	if b.directory == "" {
		return nil
	}
	if _, err := os.ReadDir(filepath.Join(b.directory, filepath.FromSlash(directory))); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// openBackend opens the backend as the CLI does (pkg/backend/diy of Pulumi 3.259). Pulumi
// Cloud shows nobody its locks.
func openBackend(ctx context.Context, address string, o Options) (*backend, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("the backend's address cannot be read; run `pulumi login` with one as docs/install.md shows")
	}
	if u.User != nil {
		u.User = url.User("****")
	}
	b := &backend{shown: u.String()}
	var opened string
	switch u.Scheme {
	case "file":
		if b.directory, err = fileDirectory(address, o.Directory); err == nil {
			// The CLI writes a temporary file beside the real one, since a rename does not cross
			// file systems. This does the same.
			opened = "file://" + filepath.ToSlash(b.directory) + "?no_tmp_dir=true"
		}
	case "s3":
		opened, err = s3Address(u)
	case "http", "https":
		return b, nil
	default:
		return nil, fmt.Errorf("the backend %s is of a kind whose locks this command cannot read; accepted: file://, s3://, Pulumi Cloud. Look with `pulumi stack --stack %s`, and go on by hand: docs/runbook.md, %s", b.shown, o.Stack, runbookSection)
	}
	if err != nil {
		return nil, err
	}
	if b.bucket, err = blob.OpenBucket(ctx, opened); err != nil {
		return nil, fmt.Errorf("opening the backend %s: %w; `pulumi whoami --verbose` shows which one the CLI is logged in to, docs/install.md how to log in", b.shown, err)
	}
	if prefix := strings.Trim(u.Path, "/"); u.Scheme == "s3" && prefix != "" {
		b.bucket = blob.PrefixedBucket(b.bucket, prefix+"/")
	}
	return b, nil
}

// fileDirectory is the directory of a file:// backend. A relative one starts in the
// project's directory, where the CLI runs too.
func fileDirectory(address, directory string) (string, error) {
	path, _, _ := strings.Cut(strings.TrimPrefix(address, "file://"), "?")
	if path == "~" || strings.HasPrefix(path, "~/") {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("opening the backend %s: %w; set HOME", address, err)
		}
		path = filepath.Join(home, strings.TrimPrefix(path, "~"))
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(directory, path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("opening the backend %s: %w", address, err)
	}
	return path, nil
}

// s3Address translates the parameters of the first AWS SDK, which Pulumi still accepts
// (translateLegacyS3Params in pkg/backend/diy of Pulumi 3.259).
func s3Address(u *url.URL) (string, error) {
	q := u.Query()
	scheme := "https"
	if q.Has("disableSSL") {
		plain, err := strconv.ParseBool(q.Get("disableSSL"))
		if err != nil {
			return "", fmt.Errorf("the backend's address says disableSSL=%s; accepted: true, false", q.Get("disableSSL"))
		}
		if plain {
			scheme = "http"
		}
		q.Del("disableSSL")
		q.Set("disable_https", strconv.FormatBool(plain))
	}
	if endpoint := q.Get("endpoint"); endpoint != "" {
		if !strings.Contains(endpoint, "://") {
			q.Set("endpoint", scheme+"://"+endpoint)
		}
		if q.Get("request_checksum_calculation") == "" && os.Getenv("AWS_REQUEST_CHECKSUM_CALCULATION") == "" {
			q.Set("request_checksum_calculation", "when_required")
		}
	}
	opened := *u
	opened.RawQuery = q.Encode()
	return opened.String(), nil
}
