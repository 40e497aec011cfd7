package awserror

import (
	"time"

	"wechat-draftbox/pkg/fault"
)

// Fault implements [fault.Faulter].
func (e *Error) Fault(time.Time) fault.Fault {
	switch e.Kind {
	case Unavailable, Conflict:
		return fault.Fault{Kind: fault.AWSUnavailable, Detail: e.Error()}
	case NotFound:
		return fault.Fault{Kind: fault.Misconfigured, Detail: e.Error(), Action: "The bundle's operator: create " + e.Resource + "."}
	}
	return fault.Fault{Kind: fault.Misconfigured, Detail: e.Error(),
		Action: "The bundle's operator: let the function's role use " + e.Resource + " and the key that encrypts it."}
}

// Fault implements [fault.Faulter].
func (m *MalformedError) Fault(time.Time) fault.Fault {
	return fault.Fault{Kind: fault.Misconfigured, Detail: m.Error(),
		Action: "The bundle's operator: correct what is stored in " + m.Resource + "."}
}
