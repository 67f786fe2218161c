// Package all lists the kits that this build has, and nothing else: a kit that
// isn't here doesn't exist for the cluster.
//
// Start reading at package kit.
package all

import (
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/kit/container"
	"github.com/perdure-ha/perdure/internal/kit/filesystem"
	"github.com/perdure-ha/perdure/internal/kit/http"
	"github.com/perdure-ha/perdure/internal/kit/ip"
	"github.com/perdure-ha/perdure/internal/kit/libvirt"
	"github.com/perdure-ha/perdure/internal/kit/mysql"
	"github.com/perdure-ha/perdure/internal/kit/ocf"
	"github.com/perdure-ha/perdure/internal/kit/postgresql"
	"github.com/perdure-ha/perdure/internal/kit/process"
	"github.com/perdure-ha/perdure/internal/kit/samba"
	"github.com/perdure-ha/perdure/internal/kit/script"
	"github.com/perdure-ha/perdure/internal/kit/service"
)

// Kits returns all kits in the order of the documentation.
func Kits() kit.Catalogue {
	return kit.Catalogue{ip.Kit{}, filesystem.Kit{}, process.Kit{}, service.Kit{}, script.Kit{}, http.Kit{}, postgresql.Kit{}, mysql.Kit{}, samba.Kit{}, container.Kit{}, libvirt.Kit{},
		ocf.Kit{}}
}
