package main

import (
	"os"
	"testing"

	"viplab/lab/testbed/inside"
	"viplab/modes/modetest"
)

func TestMain(m *testing.M) { os.Exit(inside.Main(m)) }

func TestConformance(t *testing.T) { modetest.Run(t, mine(), modetest.Options{}) }
