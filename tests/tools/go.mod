// The reference health probe, built from pinned sources for the tests that use it.
module meldrag.invalid/tools

go 1.24

require github.com/grpc-ecosystem/grpc-health-probe v0.4.40
