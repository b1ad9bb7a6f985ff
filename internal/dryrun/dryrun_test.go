package dryrun

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/declared"
)

func TestRecord(t *testing.T) {
	t.Parallel()
	rs, err := Record("alorig", "test", func(ctx *pulumi.Context) error {
		group := &pulumi.ResourceState{}
		if err := ctx.RegisterComponentResourceV2("alorig:test:Group", "group", pulumi.Map{"app": pulumi.String("shop")}, group); err != nil {
			return err
		}
		image, err := docker.NewRemoteImage(ctx, "image", &docker.RemoteImageArgs{Name: pulumi.String("shop:1")}, pulumi.Parent(group))
		if err != nil {
			return err
		}
		_, err = docker.NewContainer(ctx, "shop", &docker.ContainerArgs{
			Name: pulumi.String("shop"), Image: image.ImageId, Hostname: image.ID().ToStringOutput(),
			Envs: pulumi.StringArray{pulumi.String("A=1"), pulumi.ToSecret(pulumi.String("B=2")).(pulumi.StringOutput)},
		}, pulumi.Parent(group), pulumi.Protect(true), pulumi.RetainOnDelete(true))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var urns []string
	for _, r := range rs {
		urns = append(urns, r.URN)
	}
	want := []string{
		"urn:pulumi:test::alorig::alorig:test:Group$docker:index/container:Container::shop",
		"urn:pulumi:test::alorig::alorig:test:Group$docker:index/remoteImage:RemoteImage::image",
		"urn:pulumi:test::alorig::alorig:test:Group::group",
	}
	if !slices.Equal(urns, want) {
		t.Fatalf("recorded %v, want %v", urns, want)
	}
	c := rs[0]
	if c.Type != declared.TypeContainer || c.Name != "shop" || c.Parent != want[2] || !c.Protect || c.RetainOnDelete == nil || !*c.RetainOnDelete {
		t.Errorf("%+v", c)
	}
	if rs[1].Protect || rs[1].RetainOnDelete == nil || *rs[1].RetainOnDelete {
		t.Errorf("%+v", rs[1])
	}
	// What an update alone can know is unknown, not absent: rules tell the two apart.
	if _, state := declared.Read[string](c.Props, "hostname"); state != declared.Unknown {
		t.Errorf("an id is %v before the update", c.Props.Get("hostname"))
	}
	envs := c.Props.Get("envs").AsArray()
	if envs.Get(0).Secret() || !envs.Get(1).Secret() || envs.Get(1).AsString() != "B=2" {
		t.Errorf("environment %v", envs)
	}
	if app, _ := declared.Read[string](rs[2].Props, "app"); app != "shop" {
		t.Errorf("a component's inputs are %v", rs[2].Props)
	}
}

func TestRecordReportsWhatTheEngineWould(t *testing.T) {
	t.Parallel()
	image := func(ctx *pulumi.Context, name string) error {
		_, err := docker.NewRemoteImage(ctx, name, &docker.RemoteImageArgs{Name: pulumi.String("shop:1")})
		return err
	}
	_, err := Record("alorig", "test", func(ctx *pulumi.Context) error {
		return errors.Join(image(ctx, "a"), image(ctx, "a"))
	})
	if err == nil || !strings.Contains(err.Error(), `"a" is registered twice`) {
		t.Errorf("one name twice: %v", err)
	}
	broken := errors.New("no such app")
	if _, err := Record("alorig", "test", func(ctx *pulumi.Context) error { return errors.Join(image(ctx, "a"), broken) }); err == nil || !strings.Contains(err.Error(), broken.Error()) {
		t.Errorf("the program's own error is lost: %v", err)
	}
	if _, err := Record("alorig", "test", func(ctx *pulumi.Context) error {
		if !ctx.DryRun() || ctx.Stack() != "test" || ctx.Project() != "alorig" {
			return errors.New("not a preview of alorig/test")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// Neither takes the process with it, or makes it wait for ever.
func TestRecordOutlivesItsProgram(t *testing.T) {
	t.Parallel()
	for want, program := range map[string]pulumi.RunFunc{
		"the program panicked: no such app": func(*pulumi.Context) error { panic("no such app") },
		"runtime.Goexit":                    func(*pulumi.Context) error { runtime.Goexit(); return nil },
	} {
		if rs, err := Record("alorig", "test", program); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %d resources and %v", want, len(rs), err)
		}
	}
}

func TestRecordReturnsTheErrorOfTheProgramAsItIs(t *testing.T) {
	t.Parallel()
	cause := errors.New("the ledger has the app \"notes\"\nand another line")
	_, err := Record("alorig", "prod", func(*pulumi.Context) error { return cause })
	if !errors.Is(err, cause) || err.Error() != cause.Error() {
		t.Errorf("got %q", err)
	}
}
