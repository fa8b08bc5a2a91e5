// Program kubernetes builds the kustomization of a folder, decodes every object
// strictly into its type (an unknown or misspelled field is an error), checks
// that what the objects say of each other is true, and prints the objects as YAML.
//
// It exits with 1, and a line for each fault on the standard error output, when
// something is wrong.
package main

import (
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: kubernetes FOLDER")
		os.Exit(2)
	}
	text, faults, err := run(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, fault := range faults {
		fmt.Fprintln(os.Stderr, fault)
	}
	if len(faults) > 0 {
		os.Exit(1)
	}
	os.Stdout.Write(text)
}

// run returns the objects as YAML and what is wrong with them.
func run(folder string) ([]byte, []string, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, nil, err
	}
	decode := strictDecoder()
	var objects []runtime.Object
	var faults []string
	for _, resource := range built.Resources() {
		one, err := resource.AsYAML()
		if err != nil {
			return nil, nil, err
		}
		object, err := decode(one)
		if err != nil {
			faults = append(faults, fmt.Sprintf("%s %s: %v", resource.GetKind(), resource.GetName(), err))
			continue
		}
		objects = append(objects, object)
	}
	if len(faults) == 0 {
		faults = newCluster(objects).faults()
	}
	text, err := built.AsYaml()
	return text, faults, err
}
