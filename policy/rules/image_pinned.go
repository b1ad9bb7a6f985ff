package rules

import (
	"regexp"
	"strings"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

var imagePinned = Rule{
	Name:    "image-pinned",
	Level:   Advisory,
	Refuses: "nothing, but points at an image without a digest, and at :latest above all",
	Why:     "A tag can mean another image tomorrow, and `pulumi preview` does not see it change: what was reviewed is not what runs. The seed's own tables say :latest, hence advisory.",
	Seed:    "§4 to §9 container tables; field experience with the Docker provider",
	Unknown: "Says nothing: a reference that is not known yet comes from a RemoteImage, which is judged itself.",
	Remedy:  "Set the image to `name@sha256:…` in the stack's configuration; `docker buildx imagetools inspect name:tag` shows the digest.",
	Resource: func(_ *Fleet, r declared.Resource) []ledger.Finding {
		property, p := "image", ledger.Report{Subject: containerSubject(r)}
		switch r.Type {
		case declared.TypeContainer:
		case declared.TypeRemoteImage:
			property, p.Subject = "name", "image "+r.Name
		default:
			return nil
		}
		image, state := declared.Read[string](r.Props, property)
		if state != declared.Known || pinnedImage.MatchString(image) {
			return nil
		}
		found := "runs " + image + ", which has no digest"
		if name := image[strings.LastIndex(image, "/")+1:]; strings.HasSuffix(name, ":latest") || !strings.Contains(name, ":") {
			found = "runs " + image + ", whose tag is latest"
		}
		p.Add(found, "an image is pinned by its digest", "Write name@sha256:… in the configuration.")
		return p.Findings
	},
}

var pinnedImage = regexp.MustCompile(`(^|@)sha256:[0-9a-f]{64}$`)
