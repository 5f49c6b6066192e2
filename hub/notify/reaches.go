package notify

// Row returns the row of the rules (1 to 10, as the documentation numbers them)
// that a decision comes from; 0 where it comes from none: nobody was to be told,
// or it is a second decision.
func Row(d Decision) int {
	switch d.Reason {
	case OffDuty:
		return 1
	case AgentMuted:
		return 2
	case ViewingConversation:
		return 3
	case ActivelyViewing:
		return 4
	case DeviceOff:
		return 5
	case PermissionDenied, PermissionDefault:
		return 6
	case VisibleUnfocused:
		return 7
	case NoSubscription:
		if d.Channel == Local {
			return 8
		}
		return 9
	case PageHidden, PageClosed:
		return 10
	}
	return 0
}

// Reaches reports whether somebody would notice what a decision does for a login
// of this presence: what stands in a hidden page alone is seen by nobody.
func Reaches(d Decision, p Presence) bool {
	switch d.Channel {
	case Push, Local:
		return true
	case InApp:
		return p >= Visible
	}
	return false
}
