// Package kube reads Kubernetes objects, as kubectl prints them, into a Snapshot:
//
//	kubectl get services,endpointslices -A -o yaml > cluster.yaml
//
// The way through it:
//
//  1. [Load] decodes files into [Objects]: YAML or JSON, Lists or many documents; v1
//     Service, discovery.k8s.io/v1 EndpointSlice, v1 Endpoints. It reads one object at a
//     time, so that a file of some hundred megabytes takes little memory; only a List in
//     YAML's flow style is read whole, up to 16 MB.
//  2. [Objects.Cluster] sees them from one node and makes the Snapshot that kube-proxy
//     would have there, and a list of what was left out, by object and reason.
//  3. [Cluster.Into] moves addresses into a network that has others, one to one, and
//     [Cluster.Times] multiplies what is there.
//
// Every error is one sentence with file, line and object.
package kube
