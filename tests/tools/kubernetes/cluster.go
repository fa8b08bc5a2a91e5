package main

import (
	"fmt"
	"slices"

	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// workload is what has pods: a Deployment, a StatefulSet or a CronJob (whose jobs select their pods themselves).
type workload struct {
	kind, name string
	selector   *meta.LabelSelector
	template   core.PodTemplateSpec
	// Of a StatefulSet: the service that names its pods, and the volumes that it claims.
	service string
	claims  []string
}

// cluster is what the objects say, and the faults found so far.
type cluster struct {
	workloads []workload
	services  map[string]*core.Service
	// The keys of each ConfigMap and Secret.
	configs, secrets map[string][]string
	claims           map[string]bool
	others           []runtime.Object
	found            []string
}

func newCluster(objects []runtime.Object) *cluster {
	c := &cluster{
		services: map[string]*core.Service{}, configs: map[string][]string{}, secrets: map[string][]string{},
		claims: map[string]bool{},
	}
	namespaces, names := map[string]bool{}, map[string]bool{}
	for _, object := range objects {
		about := object.(meta.Object)
		kind := object.GetObjectKind().GroupVersionKind().Kind
		if key := kind + "/" + about.GetName(); names[key] {
			c.fault("%s is there twice", key)
		} else {
			names[key] = true
		}
		if kind != "Namespace" {
			namespaces[about.GetNamespace()] = true
		}
		switch o := object.(type) {
		case *apps.Deployment:
			c.workloads = append(c.workloads, workload{
				kind: kind, name: o.Name, selector: o.Spec.Selector, template: o.Spec.Template,
			})
		case *apps.StatefulSet:
			w := workload{
				kind: kind, name: o.Name, selector: o.Spec.Selector, template: o.Spec.Template,
				service: o.Spec.ServiceName,
			}
			for _, claim := range o.Spec.VolumeClaimTemplates {
				w.claims = append(w.claims, claim.Name)
			}
			c.workloads = append(c.workloads, w)
		case *batch.CronJob:
			c.workloads = append(c.workloads, workload{
				kind: kind, name: o.Name, template: o.Spec.JobTemplate.Spec.Template,
			})
		case *core.PersistentVolumeClaim:
			c.claims[o.Name] = true
		case *core.Service:
			c.services[o.Name] = o
		case *core.ConfigMap:
			for key := range o.Data {
				c.configs[o.Name] = append(c.configs[o.Name], key)
			}
		case *core.Secret:
			for key := range o.Data {
				c.secrets[o.Name] = append(c.secrets[o.Name], key)
			}
		default:
			c.others = append(c.others, object)
		}
	}
	if len(namespaces) != 1 || namespaces[""] {
		c.fault("the objects are not all in one named namespace: %v", namespaces)
	}
	return c
}

func (c *cluster) fault(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

func (c *cluster) faults() []string {
	for _, w := range c.workloads {
		c.checkWorkload(w)
	}
	for _, service := range c.services {
		c.checkService(service)
	}
	for _, object := range c.others {
		switch o := object.(type) {
		case *policy.PodDisruptionBudget:
			c.selected("PodDisruptionBudget "+o.Name, o.Spec.Selector)
		case *autoscaling.HorizontalPodAutoscaler:
			c.checkAutoscaler(o)
		case *networking.NetworkPolicy:
			c.checkNetworkPolicy(o)
		case *networking.Ingress:
			c.checkIngress(o)
		}
	}
	slices.Sort(c.found)
	return c.found
}

// selected returns the workloads whose pods a selector means; it is a fault when there are none.
func (c *cluster) selected(who string, selector *meta.LabelSelector) []workload {
	parsed, err := meta.LabelSelectorAsSelector(selector)
	if err != nil {
		c.fault("%s: %v", who, err)
		return nil
	}
	var found []workload
	for _, w := range c.workloads {
		if parsed.Matches(labels.Set(w.template.Labels)) {
			found = append(found, w)
		}
	}
	if len(found) == 0 {
		c.fault("%s selects no pod", who)
	}
	return found
}

func (c *cluster) checkWorkload(w workload) {
	who := w.kind + " " + w.name
	if w.kind != "CronJob" {
		if own := c.selected(who, w.selector); len(own) != 1 || own[0].name != w.name {
			c.fault("%s does not select its own pods and only those", who)
		}
	}
	if w.kind == "StatefulSet" {
		if service := c.services[w.service]; service == nil || service.Spec.ClusterIP != core.ClusterIPNone {
			c.fault("%s: serviceName %q is no headless service", who, w.service)
		}
	}
	c.checkVolumes(who, w)
	for _, container := range everyContainer(w) {
		inside := who + " container " + container.Name
		for _, source := range container.EnvFrom {
			if source.ConfigMapRef != nil {
				c.mustHave(inside, "ConfigMap", c.configs, source.ConfigMapRef.Name)
			}
			if source.SecretRef != nil {
				c.mustHave(inside, "Secret", c.secrets, source.SecretRef.Name)
			}
		}
		for _, variable := range container.Env {
			if from := variable.ValueFrom; from != nil && from.ConfigMapKeyRef != nil {
				c.mustHave(inside, "ConfigMap", c.configs, from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Key)
			}
			if from := variable.ValueFrom; from != nil && from.SecretKeyRef != nil {
				c.mustHave(inside, "Secret", c.secrets, from.SecretKeyRef.Name, from.SecretKeyRef.Key)
			}
		}
		for _, probe := range []*core.Probe{container.LivenessProbe, container.ReadinessProbe, container.StartupProbe} {
			switch {
			case probe == nil:
			case probe.HTTPGet != nil:
				c.mustListen(inside+" probe", []workload{w}, probe.HTTPGet.Port)
			case probe.GRPC != nil:
				c.mustListen(inside+" probe", []workload{w}, intstr.FromInt32(probe.GRPC.Port))
			case probe.TCPSocket != nil:
				c.mustListen(inside+" probe", []workload{w}, probe.TCPSocket.Port)
			}
		}
	}
}

func everyContainer(w workload) []core.Container {
	return append(slices.Clone(w.template.Spec.InitContainers), w.template.Spec.Containers...)
}

// checkVolumes: what is mounted is declared, what is declared is mounted and its source is there.
func (c *cluster) checkVolumes(who string, w workload) {
	declared, mounted := slices.Clone(w.claims), map[string]bool{}
	for _, volume := range w.template.Spec.Volumes {
		declared = append(declared, volume.Name)
		if from := volume.ConfigMap; from != nil {
			c.mustHave(who, "ConfigMap", c.configs, from.Name, keysOf(from.Items)...)
		}
		if from := volume.Secret; from != nil && (from.Optional == nil || !*from.Optional) {
			c.mustHave(who, "Secret", c.secrets, from.SecretName, keysOf(from.Items)...)
		}
		if from := volume.PersistentVolumeClaim; from != nil && !c.claims[from.ClaimName] {
			c.fault("%s: there is no PersistentVolumeClaim %q", who, from.ClaimName)
		}
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			if from := source.Secret; from != nil && (from.Optional == nil || !*from.Optional) {
				c.mustHave(who, "Secret", c.secrets, from.Name, keysOf(from.Items)...)
			}
		}
	}
	for _, container := range everyContainer(w) {
		for _, mount := range container.VolumeMounts {
			mounted[mount.Name] = true
			if !slices.Contains(declared, mount.Name) {
				c.fault("%s container %s mounts %q, which is no volume of the pod", who, container.Name, mount.Name)
			}
		}
	}
	for _, name := range declared {
		if !mounted[name] {
			c.fault("%s: no container mounts the volume %q", who, name)
		}
	}
}

func keysOf(items []core.KeyToPath) []string {
	var keys []string
	for _, item := range items {
		keys = append(keys, item.Key)
	}
	return keys
}

func (c *cluster) mustHave(who, kind string, there map[string][]string, name string, keys ...string) {
	has, ok := there[name]
	if !ok {
		c.fault("%s: there is no %s %q", who, kind, name)
		return
	}
	for _, key := range keys {
		if !slices.Contains(has, key) {
			c.fault("%s: %s %q has no key %q", who, kind, name, key)
		}
	}
}

// mustListen: each workload has a container port of this name or number.
func (c *cluster) mustListen(who string, workloads []workload, port intstr.IntOrString) {
	for _, w := range workloads {
		var known bool
		for _, container := range w.template.Spec.Containers {
			for _, p := range container.Ports {
				known = known || (port.Type == intstr.String && p.Name == port.StrVal) ||
					(port.Type == intstr.Int && p.ContainerPort == port.IntVal)
			}
		}
		if !known {
			c.fault("%s: %s %s has no port %s", who, w.kind, w.name, port.String())
		}
	}
}

func (c *cluster) checkService(service *core.Service) {
	who := "Service " + service.Name
	pods := c.selected(who, &meta.LabelSelector{MatchLabels: service.Spec.Selector})
	if len(pods) > 1 {
		c.fault("%s selects the pods of more than one workload", who)
	}
	for _, port := range service.Spec.Ports {
		target := port.TargetPort
		if target.IntVal == 0 && target.StrVal == "" {
			target = intstr.FromInt32(port.Port)
		}
		c.mustListen(who, pods, target)
		// No proxy stands between a headless service and its pods to change the port.
		if service.Spec.ClusterIP == core.ClusterIPNone && target.Type == intstr.Int && target.IntVal != port.Port {
			c.fault("%s is headless and its port %d is not the pods' %d", who, port.Port, target.IntVal)
		}
	}
}

func (c *cluster) checkAutoscaler(scaler *autoscaling.HorizontalPodAutoscaler) {
	target := scaler.Spec.ScaleTargetRef
	for _, w := range c.workloads {
		if w.kind == target.Kind && w.name == target.Name {
			return
		}
	}
	c.fault("HorizontalPodAutoscaler %s: there is no %s %q", scaler.Name, target.Kind, target.Name)
}

func (c *cluster) checkNetworkPolicy(rule *networking.NetworkPolicy) {
	who := "NetworkPolicy " + rule.Name
	own := c.selected(who, &rule.Spec.PodSelector)
	for _, in := range rule.Spec.Ingress {
		c.checkPeers(who, in.From)
		for _, port := range in.Ports {
			if port.Port != nil {
				c.mustListen(who, own, *port.Port)
			}
		}
	}
	for _, out := range rule.Spec.Egress {
		called := c.checkPeers(who, out.To)
		for _, port := range out.Ports {
			if port.Port != nil {
				c.mustListen(who, called, *port.Port)
			}
		}
	}
}

// checkPeers returns the workloads of our own that peers name; pods of other namespaces are not ours to know.
func (c *cluster) checkPeers(who string, peers []networking.NetworkPolicyPeer) []workload {
	var found []workload
	for _, peer := range peers {
		if peer.PodSelector != nil && peer.NamespaceSelector == nil {
			found = append(found, c.selected(who, peer.PodSelector)...)
		}
	}
	return found
}

func (c *cluster) checkIngress(ingress *networking.Ingress) {
	who := "Ingress " + ingress.Name
	for _, rule := range ingress.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for _, path := range rule.HTTP.Paths {
			backend := path.Backend.Service
			if backend == nil || c.services[backend.Name] == nil {
				c.fault("%s: its backend is no service of ours", who)
				continue
			}
			var known bool
			for _, port := range c.services[backend.Name].Spec.Ports {
				known = known || (backend.Port.Name != "" && port.Name == backend.Port.Name) ||
					(backend.Port.Name == "" && port.Port == backend.Port.Number)
			}
			if !known {
				c.fault("%s: service %s has no such port", who, backend.Name)
			}
		}
	}
}
