package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/alorig/fleet/internal/pinned"
)

func setupCommand() *cobra.Command {
	var directory string
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Build the pinned Pulumi CLI and Caddy now, rather than when they are first needed",
		Long: `setup builds two programs at the versions this repository pins, and keeps them in the
user's cache: the Pulumi CLI, which connect, recover and the sandbox run where there is
none on the PATH, and Caddy, for the sandbox and the tests. No other verb needs them. It
takes about seven minutes on two cores the first time, and nothing after that.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, build := range []func() (string, error){
				func() (string, error) { return pinned.Pulumi(cmd.Context(), directory, cmd.ErrOrStderr()) },
				func() (string, error) { return pinned.Caddy(cmd.Context(), directory, cmd.ErrOrStderr()) },
			} {
				path, err := build()
				if err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), path)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&directory, "dir", "", "directory of the repository (default the working directory)")
	return cmd
}
