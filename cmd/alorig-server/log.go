package main

import "github.com/spf13/cobra"

func logCommand() *cobra.Command { return &cobra.Command{Use: "log", Short: "to come"} }
