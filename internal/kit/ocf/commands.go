package ocf

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Exit codes of Pacemaker's commands. Source: its include/crm/common/results.h.
const (
	crmOK       = 0
	crmError    = 1
	crmUsage    = 64
	crmNoSuch   = 105
	crmNotThere = 102 // not connected: there is no such cluster
)

// Shim is one call of a Pacemaker command.
type Shim struct {
	Args   []string // with the command itself first
	Getenv func(string) string
	Node   string // this node's name
	Out    io.Writer
	Err    io.Writer
}

// Run answers a call and returns its exit code.
func (s Shim) Run() int {
	dir := s.Getenv(stateVariable)
	if dir == "" {
		fmt.Fprintf(s.Err, "%s: this is Perdure's answer for OCF agents, and works when it runs them\n", s.Args[0])
		return crmNotThere
	}
	a := attributes{dir}
	o, err := options(s.Args[1:])
	if err != nil {
		fmt.Fprintln(s.Err, err)
		return crmUsage
	}
	if o.node == "" || o.node == "local" {
		o.node = s.Node
	}
	switch ShimName(s.Args[0]) {
	case "crm_master":
		if o.name == "" {
			o.name = "master-" + s.Getenv("OCF_RESOURCE_INSTANCE")
		}
		return s.attribute(a, o)
	case "crm_attribute":
		if o.promotion && o.name == "" {
			o.name = "master-" + s.Getenv("OCF_RESOURCE_INSTANCE")
		}
		return s.attribute(a, o)
	case "attrd_updater":
		return s.updater(a, o)
	case "crm_node":
		return s.nodes(o)
	case "crm_resource":
		return s.resource(o)
	case "crm_mon":
		return s.monitor()
	}
	return crmUsage
}

// attribute is crm_attribute and crm_master.
func (s Shim) attribute(a attributes, o call) int {
	if o.name == "" {
		fmt.Fprintln(s.Err, "which attribute? give --name")
		return crmUsage
	}
	switch {
	case o.remove:
		return s.done(a.remove(o.node, o.name))
	case o.has["value"]:
		return s.done(a.set(o.node, o.name, o.value))
	}
	v, err := a.get(o.node, o.name)
	if errors.Is(err, errNoAttribute) && o.has["default"] {
		v, err = o.def, nil
	}
	if err != nil {
		return s.done(err)
	}
	if o.quiet {
		fmt.Fprintln(s.Out, v)
	} else {
		fmt.Fprintf(s.Out, "scope=%s  name=%s value=%s\n", o.scope(), o.name, v)
	}
	return crmOK
}

// updater is attrd_updater.
func (s Shim) updater(a attributes, o call) int {
	switch {
	case o.name == "" && (o.refresh || o.has["delay"]):
		return crmOK
	case o.name == "":
		fmt.Fprintln(s.Err, "which attribute? give --name")
		return crmUsage
	case o.remove:
		return s.done(a.remove(o.node, o.name))
	case o.has["value"]:
		return s.done(a.set(o.node, o.name, o.value))
	case o.query || o.quiet:
		v, err := a.get(o.node, o.name)
		if err != nil {
			return s.done(err)
		}
		fmt.Fprintf(s.Out, "name=%q host=%q value=%q\n", o.name, o.node, v)
	}
	return crmOK
}

// nodes is crm_node: to an agent this node is the cluster, because its resource
// runs nowhere else.
func (s Shim) nodes(o call) int {
	switch {
	case o.id:
		fmt.Fprintln(s.Out, 1)
	case o.quorum:
		fmt.Fprintln(s.Out, 1)
	case o.list:
		fmt.Fprintf(s.Out, "1 %s member\n", s.Node)
	default:
		fmt.Fprintln(s.Out, s.Node)
	}
	return crmOK
}

// resource is crm_resource: questions are answered, and what would change
// something is the cluster's own to decide.
func (s Shim) resource(o call) int {
	instance := s.Getenv("OCF_RESOURCE_INSTANCE")
	switch {
	case o.locate && o.quiet:
		fmt.Fprintln(s.Out, s.Node)
	case o.locate:
		fmt.Fprintf(s.Out, "resource %s is running on: %s\n", instance, s.Node)
	case o.parameter != "":
		v := s.Getenv("OCF_RESKEY_" + o.parameter)
		if v == "" {
			return s.done(errNoAttribute)
		}
		fmt.Fprintln(s.Out, v)
	case o.cleanup:
		return crmOK
	default:
		fmt.Fprintf(s.Err, "crm_resource: an agent can't change the cluster; see perdure hierarchy --help (%s)\n", strings.Join(s.Args[1:], " "))
		return crmError
	}
	return crmOK
}

// monitor is crm_mon as XML, with this node and the resource that asks.
func (s Shim) monitor() int {
	fmt.Fprintf(s.Out, "<?xml version=\"1.0\"?>\n<pacemaker-result><nodes><node name=%q id=\"1\" online=\"true\"/></nodes><resources/></pacemaker-result>\n", s.Node)
	return crmOK
}

func (s Shim) done(err error) int {
	switch {
	case err == nil:
		return crmOK
	case errors.Is(err, errNoAttribute):
		fmt.Fprintln(s.Err, "Error performing operation: No such device or address")
		return crmNoSuch
	}
	fmt.Fprintln(s.Err, err)
	return crmError
}
