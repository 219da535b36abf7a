// Package session is a run as a library: a matrix of trials, variants of modes by
// sizes by rounds, in a testbed, with all that they measured in a run directory.
//
// A [Config] says what to run; [Config.Trials] lists the trials; [Session.Run] chooses
// a testbed that can run them, writes down what was asked for and where, runs them and
// keeps every record as it comes. What ends early leaves a directory that can be read,
// reported and resumed. The commands bench, scenario and reproduce are thin on it.
package session
