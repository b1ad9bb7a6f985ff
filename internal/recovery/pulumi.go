package recovery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/pulumicli"
	"github.com/alorig/fleet/internal/terminal"
)

// cli is the stack as the Pulumi CLI in the operator's own environment knows it.
type cli struct {
	pulumicli.Stack
	progress io.Writer
}

// state is the stack's state, of which only what is not secret is used.
type state struct{ apitype.DeploymentV3 }

// root returns the URN of the stack itself, which is in every state but an empty one.
func (s state) root() string {
	for _, r := range s.Resources {
		if r.Type == resource.RootStackType {
			return string(r.URN)
		}
	}
	return ""
}

// ids returns the IDs of all that the state knows.
func (s state) ids() map[string]bool {
	ids := map[string]bool{}
	for _, r := range s.Resources {
		if r.ID != "" {
			ids[string(r.ID)] = true
		}
	}
	return ids
}

// Missing is a container that the state has and the server has not. A failed update that
// met it has used up the pending operation that would have told.
type Missing struct {
	Name string `json:"name"` // of the container
	URN  string `json:"urn"`
}

// missing lists the containers that are not among those that exist, sorted by URN. Those of
// pending operations are read again in any case, and those that an update has removed itself,
// to make them anew, the next one makes.
func (s state) missing(exist []Container, operations []Operation) []Missing {
	there := map[string]bool{}
	for _, c := range exist {
		there[c.ID] = true
	}
	for _, o := range operations {
		there[o.URN] = true
	}
	all := []Missing{}
	for _, r := range s.Resources {
		if string(r.Type) != declared.TypeContainer || r.Delete || r.PendingReplacement || there[string(r.ID)] || there[string(r.URN)] {
			continue
		}
		name, _ := r.Outputs["name"].(string)
		all = append(all, Missing{terminal.Line(cmp.Or(name, r.URN.Name())), string(r.URN)})
	}
	slices.SortFunc(all, func(a, b Missing) int { return cmp.Compare(a.URN, b.URN) })
	return all
}

// adopt takes what exists into the state.
//
// Not by `pulumi refresh --import-pending-creates`: Pulumi 3.259 turns such an operation
// into one of the kind "importing", which nothing reads, so the refresh drops it and the
// resource is in the state neither as pending nor as existing (tried; no reader of
// OperationTypeImporting in pkg). `pulumi import` leaves the pending operation, for which
// the resource may be in the state or not when the rest is done.
func (c cli) adopt(ctx context.Context, o Operation) error {
	type spec struct {
		Type        string         `json:"type"`
		Name        string         `json:"name"`
		LogicalName string         `json:"logicalName"`
		ID          string         `json:"id"`
		Parent      string         `json:"parent,omitempty"`
		Provider    string         `json:"provider,omitempty"`
		Inputs      map[string]any `json:"inputs,omitempty"`
		Outputs     map[string]any `json:"outputs,omitempty"`
	}
	file := struct {
		NameTable map[string]string `json:"nameTable"`
		Resources []spec            `json:"resources"`
	}{map[string]string{}, []spec{{Type: o.Type, Name: "adopted", LogicalName: o.Name, ID: o.Exists}}}
	if o.parent != "" {
		file.NameTable["parent"], file.Resources[0].Parent = o.parent, "parent"
	}
	if o.provider != "" {
		file.NameTable["provider"], file.Resources[0].Provider = o.provider, "provider"
	}
	if o.Type == typeRecord {
		file.Resources[0].Inputs, file.Resources[0].Outputs = o.recordState()
	}
	text, err := json.Marshal(file)
	if err != nil {
		return fmt.Errorf("adopting %s: %w", o.Name, err)
	}
	temporary, err := os.CreateTemp("", "alorig-adopt-*.json")
	if err != nil {
		return fmt.Errorf("adopting %s: %w", o.Name, err)
	}
	defer os.Remove(temporary.Name()) //nolint:errcheck // temporary, and holds no secret
	_, err = temporary.Write(text)
	if err = errors.Join(err, temporary.Close()); err != nil {
		return fmt.Errorf("adopting %s: %w", o.Name, err)
	}
	_, err = c.Run(ctx, c.progress, "import", "--file", temporary.Name(), "--yes", "--skip-preview",
		"--generate-code=false", fmt.Sprintf("--protect=%t", o.protect), "--suppress-outputs", "--suppress-progress")
	return err
}

// settle drops the pending creates and reads what the other pending operations were at.
// Nothing else is read: a server that is half there need not answer for all of it.
func (c cli) settle(ctx context.Context, urns []string) error {
	args := []string{"refresh", "--yes", "--skip-preview", "--clear-pending-creates", "--suppress-outputs", "--suppress-progress"}
	for _, urn := range urns {
		args = append(args, "--target", urn)
	}
	_, err := c.Run(ctx, c.progress, args...)
	return err
}
