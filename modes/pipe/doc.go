// Package pipe makes a mode of an external program, in any language: the lab starts it
// in the node's network namespace, tells it on standard input what there is to be, and
// reads on standard output when that is programmed. The real kube-proxy runs so, and so
// does the program of a reader.
//
// Every line is one JSON object. The lab writes:
//
//	{"do":"hello","protocol":1,"family":"ipv4","args":{…},"node":{…}}
//	{"do":"set","object":{"apiVersion":"v1","kind":"Service",…}}
//	{"do":"set","object":{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice",…}}
//	{"do":"delete","object":{"kind":"Service","metadata":{"namespace":…,"name":…}}}
//	{"do":"sync","id":1}
//	{"do":"close","id":2}
//
// hello comes first and once: the family to serve (a program is started for each), the
// arguments of the mode, and the node ([Node]). set and delete tell what changed since the
// line before, a whole object each; they have no answer. sync asks to program all that was
// told; the first one also removes what an earlier process of the program may have left.
// close asks to remove all that was programmed. Then, or where the lab itself ended,
// standard input ends, and the program is to end too.
//
// The program answers hello, sync and close ([Reply]):
//
//	{"did":"hello","protocol":1,"name":"my-proxy","version":"0.1"}
//	{"did":"programmed","id":1,"seconds":0.012}
//	{"did":"closed","id":2}
//	{"did":"error","id":1,"error":"what was tried, on what, and why it failed"}
//
// programmed means that the kernel has taken it. Beside its own time (seconds) a program
// may say what the sync took: rules, objects, tool_calls, bytes, cpu_seconds (its own and
// its tools'), tool_peak_rss_bytes. After an error it goes on, and the next sync mends
// what is wrong. What it writes to standard error is shown where something fails.
//
// The objects are Kubernetes' own and not the lab's Snapshot, because every proxy of
// Services reads those already, and because changes, not states, are what an API server
// sends: so a program pays for telling it nothing that it would not pay on a node. What
// Kubernetes does not know, weights of endpoints, is not told.
//
// A program that ends, is silent past a deadline ([Deadlines]) or says what is none of the
// above is ended with its process group, and the call fails with a [HelperError]. The next
// Sync starts another one and tells it everything; Close starts another one to remove what
// was left.
package pipe
