// Command alorig-server does what an update does on the server itself. An update puts it
// there and runs it; nothing of it stays resident. Each verb reads one JSON document on
// standard input (package internal/document), and prints one when it has succeeded. It can be
// killed at any point and run again.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/docker/docker/client"
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/serverlog"
)

func main() {
	// An SSH connection that ends sends a hangup.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "alorig-server: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	root := &cobra.Command{
		Use:           "alorig-server",
		Short:         "What an update of the Alorig fleet does on the server",
		Version:       fmt.Sprintf("document version %d", document.Version),
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(
		verb(document.CheckPlatform, "See that the shared services are what the apps need", checkPlatform),
		verb(document.AwaitReady, "Wait until containers do their work", awaitReady),
		verb(document.PutCaddyfile, "Put Caddy's main file in place and load it", putCaddyfile),
		verb(document.PutRedisUser, "Make or change an app's Redis user", putRedisUser),
		verb(document.SettleRedisUser, "End the passwords before of an app's Redis user", settleRedisUser),
		verb(document.RemoveRedisUser, "Remove an app's Redis user", removeRedisUser),
		verb(document.Migrate, "Migrate an app's database", migrate),
		verb(document.TryNext, "See that the next version of a container becomes ready", tryNext),
		verb(document.TakeOver, "Let the next version of a container serve", takeOver),
		verb(document.EndHandover, "End a handover once the container is ready", endHandover),
		verb(document.PutSite, "Put an app's site file in place and load it", putSite),
		verb(document.RemoveSite, "Take an app's site file away", removeSite),
		verb(document.ReadState, "Tell what is on the server", readState),
		verb(document.Start, "Start containers that do not run", start),
		logCommand(),
	)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}

// server is where a verb works.
type server struct {
	docker *client.Client
	did    []string
	answer any // what is printed in place of a [document.Result]
}

// say notes a change.
func (s *server) say(format string, args ...any) { s.did = append(s.did, fmt.Sprintf(format, args...)) }

// verb is the command that reads a document, does what do says, logs it, and prints the result.
func verb[D any](name document.Verb, short string, do func(context.Context, *server, *D) error) *cobra.Command {
	return &cobra.Command{
		Use:   string(name),
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, started := &server{}, time.Now()
			directory, err := home()
			if err != nil {
				return err
			}
			text, err := io.ReadAll(cmd.InOrStdin())
			if err != nil {
				return fmt.Errorf("reading the document of %s from standard input: %w", name, err)
			}
			var read D
			header, err := document.Read(text, name, &read)
			if err == nil {
				err = s.open()
			}
			if err == nil {
				err = do(cmd.Context(), s, &read)
			}
			if err != nil && cmd.Context().Err() != nil {
				err = fmt.Errorf("%w, so run the update again: %w", context.Cause(cmd.Context()), err)
			}
			entry := serverlog.Entry{
				Time: started, Seconds: time.Since(started).Seconds(), Verb: string(name), App: header.App, Subject: header.Subject,
				Digest: header.Digest, Did: s.did, Failed: err != nil,
			}
			if err != nil {
				entry.Error = err.Error()
			}
			if logged := serverlog.Append(directory, entry); logged != nil {
				// What has been done counts, not its trace.
				fmt.Fprintf(cmd.ErrOrStderr(), "alorig-server: not logged: %v\n", logged)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if s.answer == nil {
				s.answer = document.Result{Version: document.Version, Verb: name, Did: append([]string{}, s.did...), Run: uuid.NewString()}
			}
			result, err := document.Write(s.answer)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), result)
			return err
		},
	}
}

func (s *server) open() (err error) {
	if s.docker, err = client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation()); err != nil {
		return fmt.Errorf("reaching the Docker engine: %w", err)
	}
	return nil
}

// home is the directory of this program, where its log lies too.
func home() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding out where this program lies: %w", err)
	}
	return filepath.Dir(path), nil
}
