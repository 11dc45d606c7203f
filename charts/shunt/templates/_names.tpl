{{- define "shunt.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "shunt.fullname" -}}
{{- $name := include "shunt.name" . }}
{{- $usual := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- .Values.fullnameOverride | default $usual | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "shunt.serviceAccount" -}}
{{- $usual := .Values.serviceAccount.create | ternary (include "shunt.fullname" .) "default" }}
{{- .Values.serviceAccount.name | default $usual }}
{{- end }}

{{- define "shunt.selector" -}}
app.kubernetes.io/name: {{ include "shunt.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "shunt.labels" -}}
{{ include "shunt.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "shunt.image" -}}
{{- with .Values.image -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}
{{- end }}

{{- /* IP:PORT of the two servers. Beside kube-proxy other ports than its own. */}}
{{- define "shunt.healthz" -}}
{{ .Values.healthzBindAddress | default (.Values.kubeProxy.running | ternary "0.0.0.0:10356" "0.0.0.0:10256") }}
{{- end }}

{{- define "shunt.metrics" -}}
{{- $monitored := or .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled }}
{{- $usual := printf "%s:%s" ($monitored | ternary "0.0.0.0" "127.0.0.1") (.Values.kubeProxy.running | ternary "10349" "10249") }}
{{- .Values.metricsBindAddress | default $usual }}
{{- end }}

{{- /* Where `shunt status` in the pod finds the daemon; "" where it looks anyway. */}}
{{- define "shunt.api" -}}
{{- $metrics := regexReplaceAll "^0\\.0\\.0\\.0:" (include "shunt.metrics" .) "127.0.0.1:" | replace "[::]:" "[::1]:" }}
{{- if ne $metrics "127.0.0.1:10249" }}{{ $metrics }}{{ end }}
{{- end }}

{{- define "shunt.port" -}}
{{ regexFind "[0-9]+$" . }}
{{- end }}

{{- /* The address of IP:PORT for a probe to ask, "" if it is every one of the node's. */}}
{{- define "shunt.host" -}}
{{- $host := regexReplaceAll ":[0-9]+$" . "" | trimPrefix "[" | trimSuffix "]" }}
{{- if not (has $host (list "0.0.0.0" "::")) }}{{ $host }}{{ end }}
{{- end }}
