{{- /* The flags of `shunt run`: those that say no more than its defaults are left out. */}}
{{- define "shunt.flags" -}}
{{- with .Values -}}
- --source=kubernetes
- --cgroup-root=/host/cgroup
- --bpf-root=/sys/fs/bpf/shunt
- --healthz-bind-address={{ include "shunt.healthz" $ }}
- --metrics-bind-address={{ include "shunt.metrics" $ }}
{{- $flags := list
    (list "max-services" (int64 .bpf.maxServices) 65536)
    (list "max-backends" (int64 .bpf.maxBackends) 262144)
    (list "max-flows" (int64 .bpf.maxFlows) 0)
    (list "devices" (join "," .devices) "")
    (list "forwarding" .loadBalancer.mode "snat")
    (list "algorithm" .loadBalancer.algorithm "random")
    (list "acceleration" .loadBalancer.acceleration "off")
    (list "maglev-table-size" (int64 .maglev.tableSize) 16381)
    (list "max-maglev-tables" (int64 .maglev.maxTables) 0)
    (list "nodeport-addresses" (join "," .nodePort.addresses) "")
    (list "iptables-localhost-nodeports" .nodePort.localhost true)
    (list "socket-host-namespace-only" .socketLB.hostNamespaceOnly false)
    (list "end-stale-tcp" .endStaleTCP false)
    (list "proxy-mode" .mode "iptables")
    (list "masquerade-all" .masqueradeAll false)
    (list "cluster-cidr" .clusterCIDR "")
    (list "detect-local-mode" .detectLocalMode "ClusterCIDR")
    (list "pod-bridge-interface" .detectLocal.bridgeInterface "")
    (list "pod-interface-name-prefix" .detectLocal.interfaceNamePrefix "")
    (list "conntrack-max-per-core" (int64 .conntrack.maxPerCore) 32768)
    (list "conntrack-min" (int64 .conntrack.min) 131072)
    (list "conntrack-tcp-timeout-established" .conntrack.tcpEstablishedTimeout "24h0m0s")
    (list "conntrack-tcp-timeout-close-wait" .conntrack.tcpCloseWaitTimeout "1h0m0s")
    (list "conntrack-udp-timeout" .conntrack.udpTimeout "0s")
    (list "conntrack-udp-timeout-stream" .conntrack.udpStreamTimeout "0s")
    (list "v" (int64 .logging.verbosity) 0)
}}
{{- range $flags }}
{{- $value := index . 1 | toString }}
{{- if ne $value (index . 2 | toString) }}
- {{ printf "--%s=%s" (index . 0) $value | quote }}
{{- end }}
{{- end }}
{{- with .extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}
