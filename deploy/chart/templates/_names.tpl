{{- define "meshdns.name" -}}
{{- if contains "meshdns" .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-meshdns" (.Release.Name | trunc 44) }}{{ end }}
{{- end }}

{{- define "meshdns.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "meshdns.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{- define "meshdns.selector" -}}
app.kubernetes.io/name: meshdns
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "meshdns.labels" -}}
{{ include "meshdns.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: dns
app.kubernetes.io/part-of: meshdns
{{- end }}

{{- define "meshdns.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Whether a second pod cannot run on a node beside the first: they would share ports or the state directory. */}}
{{- define "meshdns.exclusive" -}}
{{- if or .Values.hostNetwork.enabled (eq .Values.state.type "hostPath") }}true{{ end }}
{{- end }}

{{- define "meshdns.listen" -}}
{{- if .Values.hostNetwork.enabled }}{{ toJson .Values.hostNetwork.listen }}
{{- else if eq .Values.ipFamily "IPv6" }}["[::]:1053"]
{{- else if eq .Values.ipFamily "Dual" }}["0.0.0.0:1053", "[::]:1053"]
{{- else }}["0.0.0.0:1053"]
{{- end }}
{{- end }}

{{/* The container's port: of the first address on the host's network, else 1053. */}}
{{- define "meshdns.port" -}}
{{- if .Values.hostNetwork.enabled }}{{ regexFind "[0-9]+$" (first .Values.hostNetwork.listen) }}{{ else }}1053{{ end }}
{{- end }}

{{/* The address of /health and /ready where the pod's network is the node's; else the pod's own, which needs no name. */}}
{{- define "meshdns.probeHost" -}}
{{- if .Values.hostNetwork.enabled }}host: {{ ternary "\"::1\"" "127.0.0.1" (eq .Values.ipFamily "IPv6") }}, {{ end }}
{{- end }}

{{- define "meshdns.settings" -}}
{{- $sources := list (dict "kind" "inCluster" "cluster" .Values.cluster) }}
{{- with .Values.kubeconfig }}
{{- if .secretName }}
{{- $source := dict "kind" "kubeconfig" "path" (printf "/etc/meshdns-clusters/%s" .key) }}
{{- if .contexts }}{{ $_ := set $source "contexts" .contexts }}{{ end }}
{{- $sources = append $sources $source }}
{{- end }}
{{- end }}
{{- if .Values.remoteSecrets.enabled }}
{{- $sources = append $sources (dict "kind" "remoteSecrets" "namespace" .Release.Namespace) }}
{{- end }}
{{- $own := dict "apiVersion" "meshdns/v1" "listen" (include "meshdns.listen" . | fromJsonArray) "sources" $sources }}
{{- $_ := set $own "allowQuery" (concat (list "private") .Values.podCIDRs) }}
{{- $_ := set $own "workers" .Values.workers }}
{{- if .Values.hostNetwork.enabled }}
{{- $_ := set $own "http" (dict "health" (ternary "[::1]:9153" "127.0.0.1:9153" (eq .Values.ipFamily "IPv6")) "allow" .Values.monitoring.cidrs) }}
{{- else }}
{{- $_ := set $own "http" (dict "listen" (ternary "[::]:9153" "0.0.0.0:9153" (eq .Values.ipFamily "IPv6"))) }}
{{- end }}
{{- $admin := dict "socket" "/run/meshdns/admin.sock" }}
{{- with .Values.admin.listen }}{{ $_ := set $admin "listen" . }}{{ end }}
{{- $_ := set $own "admin" $admin }}
{{- $_ := set $own "stateDir" "/var/lib/meshdns" }}
{{- toYaml (mustMergeOverwrite $own (deepCopy .Values.settings)) }}
{{- end }}

{{- define "meshdns.podLabels" -}}
{{ include "meshdns.labels" . }}
sidecar.istio.io/inject: "false"
istio.io/dataplane-mode: none
{{- with .Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}
