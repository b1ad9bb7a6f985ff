package containers_test

import (
	"os"
	"testing"

	"github.com/alorig/fleet/internal/containers/containerstest"
)

func TestMain(m *testing.M) { os.Exit(containerstest.Run(m)) }
