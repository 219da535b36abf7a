package explain

import (
	"net/netip"
	"slices"

	"viplab/modes"
)

// planner plans what a mode programs, once for each address family.
type planner struct {
	mode modes.Mode
	args modes.Args
	left *[]string
	made map[netip.Addr]modes.Program // by the node's address
}

// program is what the mode programs into a node of that address. One that is changed for
// a single packet is planned anew.
func (p *planner) program(s modes.Snapshot, node netip.Addr, changed bool) (modes.Program, error) {
	if made := p.made[node]; made != nil && !changed {
		return made, nil
	}
	made, err := p.mode.Plan(p.args, p.served(s), node)
	if err == nil && !changed {
		p.made[node] = made
	}
	return made, err
}

// served is a Snapshot without the Services that the mode cannot serve, which it notes.
func (p *planner) served(s modes.Snapshot) modes.Snapshot {
	var left []string
	refused := func(svc *modes.Service) bool {
		err := p.mode.CheckServices(p.args, svc)
		if err != nil && !slices.Contains(left, err.Error()) {
			left = append(left, err.Error())
		}
		return err != nil
	}
	if slices.ContainsFunc(s.Services, refused) {
		left = nil
		s.Services = slices.DeleteFunc(slices.Clone(s.Services), refused)
	}
	*p.left = left
	return s
}
