{{- /* An address's pattern, as Kubernetes writes them. */}}
{{- define "shunt.ipv4" -}}
{{ printf "%[1]s([.]%[1]s){3}" "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])" }}
{{- end }}

{{- define "shunt.ipv6" -}}
{{ "((H:){7}H|(H:){1,7}:|(H:){1,6}:H|(H:){1,5}(:H){1,2}|(H:){1,4}(:H){1,3}|(H:){1,3}(:H){1,4}|(H:){1,2}(:H){1,5}|H:(:H){1,6}|:((:H){1,7}|:))" | replace "H" "[0-9a-fA-F]{1,4}" }}
{{- end }}

{{- /* IPv4 or IPv6, and "" of what is no CIDR. */}}
{{- define "shunt.family" -}}
{{- if regexMatch (printf "^%s/(3[0-2]|[12]?[0-9])$" (include "shunt.ipv4" .)) . }}IPv4
{{- else if regexMatch (printf "^%s/(12[0-8]|1[01][0-9]|[1-9]?[0-9])$" (include "shunt.ipv6" .)) . }}IPv6
{{- end }}
{{- end }}

{{- /* A factor of a number below 363 x 363; "" of a prime. */}}
{{- define "shunt.factor" -}}
{{- range untilStep 2 363 1 }}
{{- if gt (mul . .) (int64 $) }}{{ break }}{{ end }}
{{- if not (mod $ .) }}{{ . }}{{ break }}{{ end }}
{{- end }}
{{- end }}

{{- /* What the schema cannot say. */}}
{{- define "shunt.checks" -}}
{{- if and (not .Values.k8sServiceHost) (not .Values.kubeProxy.running) }}
{{- fail "k8sServiceHost is empty: without kube-proxy the kubernetes Service is not there until Shunt has reached the API server. Give an address of the API server that needs no Service (k8sServiceHost=192.0.2.10), or k8sServiceHost=auto on kubeadm's clusters, or kubeProxy.running=true while kube-proxy runs on the same nodes" }}
{{- end }}
{{- $healthz := include "shunt.healthz" . }}
{{- $metrics := include "shunt.metrics" . }}
{{- range $field, $address := dict "healthzBindAddress" $healthz "metricsBindAddress" $metrics }}
{{- $form := printf "^(%s|\\[%s\\]):[0-9]+$" (include "shunt.ipv4" $) (include "shunt.ipv6" $) }}
{{- if or (not (regexMatch $form $address)) (gt (include "shunt.port" $address | int) 65535) }}
{{- fail (printf "%s is %s: give an address and a port from 1 to 65535, as 0.0.0.0:10256 or [::1]:10256" $field $address) }}
{{- end }}
{{- end }}
{{- if eq $healthz $metrics }}
{{- fail (printf "healthzBindAddress and metricsBindAddress are both %s: give two ports" $healthz) }}
{{- end }}
{{- $all := or (not (include "shunt.host" $healthz)) (not (include "shunt.host" $metrics)) }}
{{- if and $all (eq (include "shunt.port" $healthz) (include "shunt.port" $metrics)) }}
{{- fail (printf "healthzBindAddress and metricsBindAddress are %s and %s, and the one takes the port at all addresses: give two ports" $healthz $metrics) }}
{{- end }}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled }}
{{- fail "metrics.serviceMonitor.enabled and metrics.podMonitor.enabled are both true, so every sample would be there twice: enable one" }}
{{- end }}
{{- if and .Values.cgroup.autoMount.enabled (hasPrefix "/sys/fs/cgroup/" (printf "%s/" .Values.cgroup.hostRoot)) }}
{{- fail (printf "cgroup.autoMount.enabled is true and cgroup.hostRoot is %s, where nodes have what they have mounted themselves: give a directory of its own, as cgroup.hostRoot=/run/shunt/cgroupv2" .Values.cgroup.hostRoot) }}
{{- end }}
{{- $monitored := or .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled }}
{{- if and $monitored (regexMatch "^(127\\.|\\[::1\\])" (include "shunt.metrics" .)) }}
{{- fail (printf "metricsBindAddress is %s, where Prometheus does not reach it: leave it empty, or give 0.0.0.0:PORT, or enable no monitor" .Values.metricsBindAddress) }}
{{- end }}
{{- range $field, $values := dict "metrics.serviceMonitor" .Values.metrics.serviceMonitor "metrics.podMonitor" .Values.metrics.podMonitor "prometheusRule" .Values.prometheusRule }}
{{- if and $values.enabled (not $values.trustCRDsExist) (not ($.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) }}
{{- fail (printf "%s.enabled is true, and this cluster has no monitoring.coreos.com/v1: install the Prometheus operator's CRDs first, or leave it off, or give %s.trustCRDsExist=true where helm cannot see them (helm template)" $field $field) }}
{{- end }}
{{- end }}
{{- $size := int64 .Values.maglev.tableSize }}
{{- if include "shunt.factor" $size }}
{{- range $more := until 100 }}
{{- $next := add $size $more }}
{{- if not (include "shunt.factor" $next) }}
{{- fail (printf "maglev.tableSize is %d, which is no prime number: the next is %d" $size $next) }}
{{- end }}
{{- end }}
{{- end }}
{{- $tables := div 268435456 $size }}
{{- if gt (int64 .Values.maglev.maxTables) $tables }}
{{- fail (printf "maglev.maxTables is %d: give %d at most with maglev.tableSize=%d" (int64 .Values.maglev.maxTables) $tables $size) }}
{{- end }}
{{- $ranges := .Values.nodePort.addresses }}
{{- range eq (toJson $ranges) (toJson (list "primary")) | ternary list $ranges }}
{{- if not (include "shunt.family" .) }}
{{- fail (printf "nodePort.addresses has %s: give CIDRs, as 10.0.0.0/8 or fd00::/8, or [primary]" .) }}
{{- end }}
{{- end }}
{{- $families := list }}
{{- range compact (splitList "," .Values.clusterCIDR) }}
{{- $families = append $families (include "shunt.family" .) }}
{{- end }}
{{- if or (has "" $families) (ne (len $families) (uniq $families | len)) }}
{{- fail (printf "clusterCIDR is %s: give a CIDR, or one of each family, as 10.244.0.0/16,fd00:10:244::/56" .Values.clusterCIDR) }}
{{- end }}
{{- if and (eq .Values.detectLocalMode "BridgeInterface") (not .Values.detectLocal.bridgeInterface) }}
{{- fail "detectLocalMode is BridgeInterface: give detectLocal.bridgeInterface, the bridge whose ports lead to pods" }}
{{- end }}
{{- if and (eq .Values.detectLocalMode "InterfaceNamePrefix") (not .Values.detectLocal.interfaceNamePrefix) }}
{{- fail "detectLocalMode is InterfaceNamePrefix: give detectLocal.interfaceNamePrefix, how the names of devices to pods begin" }}
{{- end }}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) .Values.rbac.create }}
{{- fail "serviceAccount.create is false: give serviceAccount.name, or every pod of the namespace that has none gets Shunt's rights" }}
{{- end }}
{{- end }}

{{- /* The API server's HOST and PORT, as two lines of JSON; empty where the kubernetes Service is used. */}}
{{- define "shunt.apiServer" -}}
{{- if eq .Values.k8sServiceHost "auto" }}
{{- $info := lookup "v1" "ConfigMap" "kube-public" "cluster-info" }}
{{- if not (and $info $info.data $info.data.kubeconfig) }}
{{- fail "k8sServiceHost is auto, and helm finds no ConfigMap kube-public/cluster-info, which kubeadm makes and `helm template` does not see: give an address of the API server" }}
{{- end }}
{{- $server := (first (fromYaml $info.data.kubeconfig).clusters).cluster.server }}
{{- $port := regexFind ":[0-9]+/?$" $server | trimPrefix ":" | trimSuffix "/" }}
{{- $host := $server | trimPrefix "https://" | trimSuffix "/" | trimSuffix (printf ":%s" $port) | trimPrefix "[" | trimSuffix "]" }}
{{- dict "host" $host "port" ($port | default "443") | toJson }}
{{- else if .Values.k8sServiceHost }}
{{- dict "host" .Values.k8sServiceHost "port" (int .Values.k8sServicePort | toString) | toJson }}
{{- end }}
{{- end }}
