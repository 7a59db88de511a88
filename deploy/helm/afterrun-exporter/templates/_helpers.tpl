{{- define "afterrun.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/*
The name of the release, and of the chart if the release has another one. At most 52
characters: a StatefulSet makes a label of its name and eleven more.
*/}}
{{- define "afterrun.fullname" -}}
{{- $name := include "afterrun.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if or (contains $name .Release.Name) (hasPrefix .Release.Name $name) }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "afterrun.selectorLabels" -}}
app.kubernetes.io/name: {{ include "afterrun.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/*
The labels of an object, with more of its own: (list . LABELS). Those of the selector
have precedence.
*/}}
{{- define "afterrun.labelsWith" -}}
{{- $root := index . 0 }}
{{- $chart := dict
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/managed-by" $root.Release.Service
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") }}
{{- toYaml (mergeOverwrite (dict) $chart (default dict $root.Values.commonLabels) (default dict (index . 1)) (include "afterrun.selectorLabels" $root | fromYaml)) }}
{{- end }}

{{- define "afterrun.labels" -}}
{{- include "afterrun.labelsWith" (list . (dict)) }}
{{- end }}

{{- define "afterrun.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "afterrun.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "afterrun.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}
{{- else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{/* "true" with PostgreSQL, and "" with SQLite. */}}
{{- define "afterrun.postgres" -}}
{{- if eq .Values.storage.type "postgres" }}true{{ end }}
{{- end }}

{{- define "afterrun.replicas" -}}
{{- if kindIs "invalid" .Values.replicas }}{{ ternary 2 1 (eq .Values.storage.type "postgres") }}
{{- else }}{{ int .Values.replicas }}{{ end }}
{{- end }}

{{/* "true" if the database is in a claim that the StatefulSet makes. */}}
{{- define "afterrun.newClaim" -}}
{{- if and (not (include "afterrun.postgres" .)) .Values.persistence.enabled (not .Values.persistence.existingClaim) }}true{{ end }}
{{- end }}

{{- define "afterrun.configMap" -}}
{{- default (printf "%s-config" (include "afterrun.fullname" .)) .Values.config.existingConfigMap }}
{{- end }}

{{- define "afterrun.configText" -}}
{{- if .Values.config.content }}{{ .Values.config.content }}{{ else -}}
# Every job is registered by its first report.
jobs: {}
{{ end }}
{{- end }}

{{- define "afterrun.shutdownDelay" -}}
{{- if kindIs "invalid" .Values.web.shutdownDelaySeconds }}{{ ternary 5 0 (eq .Values.storage.type "postgres") }}
{{- else }}{{ int .Values.web.shutdownDelaySeconds }}{{ end }}
{{- end }}

{{/* The port of config.git.url; "" without one. */}}
{{- define "afterrun.gitPort" -}}
{{- with .Values.config.git.url }}
{{- if regexMatch "^https?://" . }}
{{- regexReplaceAll "^(https?)://[^/?#]*?(?::([0-9]+))?(?:[/?#].*)?$" . "${1}:${2}" | trimPrefix "https:" | trimPrefix "http:" | default (ternary "443" "80" (hasPrefix "https:" .)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The ports of storage.postgres.url, separated by spaces; "" without one. */}}
{{- define "afterrun.postgresPorts" -}}
{{- with .Values.storage.postgres.url }}
{{- $hosts := regexReplaceAll "^[a-z]+://([^/?#]*@)?([^/?#]*).*$" . "${2}" }}
{{- $ports := list }}
{{- range splitList "," $hosts }}
{{- if . }}{{ $ports = append $ports (regexFind ":[0-9]+$" . | trimPrefix ":" | default "5432") }}{{ end }}
{{- end }}
{{- join " " (uniq $ports) }}
{{- end }}
{{- end }}

{{/* The prefix of the paths that an Ingress or an HTTPRoute leads to the daemon: (list . PATH). */}}
{{- define "afterrun.path" -}}
{{- coalesce (index . 1) (index . 0).Values.web.routePrefix "/" }}
{{- end }}

{{- define "afterrun.scheme" -}}
{{- if .Values.web.tls }}https{{ else }}http{{ end }}
{{- end }}

{{/* A list in YAML, so that every argument is quoted as it needs to be. */}}
{{- define "afterrun.args" -}}
{{- $args := list "serve" }}
{{- with .Values.config.git }}
{{- if .url }}
{{- $args = concat $args (list (print "--config.git-url=" .url) (print "--config.git-ref=" .ref) (print "--config.git-path=" .path) (print "--config.git-interval=" .interval)) }}
{{- if .username }}{{ $args = append $args (print "--config.git-username=" .username) }}{{ end }}
{{- if .tokenSecret }}{{ $args = append $args (print "--config.git-token-file=/run/secrets/git/" .tokenSecretKey) }}{{ end }}
{{- else if and $.Values.config.existingConfigMap (not $.Values.config.existingConfigMapKey) }}
{{- $args = append $args "--config.file=/etc/afterrun" }}
{{- else if $.Values.config.existingConfigMap }}
{{- $args = append $args (print "--config.file=/etc/afterrun/" $.Values.config.existingConfigMapKey) }}
{{- else }}
{{- $args = append $args "--config.file=/etc/afterrun/afterrun.yml" }}
{{- end }}
{{- end }}
{{- if and .Values.config.autoReload (not .Values.config.git.url) }}{{ $args = append $args "--config.enable-auto-reload" }}{{ end }}
{{- if include "afterrun.postgres" . }}
{{- with .Values.storage.postgres }}
{{- if .passwordSecret }}{{ $args = append $args (print "--storage.password-file=/run/secrets/postgres/" .passwordSecretKey) }}{{ end }}
{{- end }}
{{- else }}
{{- $args = append $args "--storage.path=/data/afterrun.db" }}
{{- end }}
{{- with .Values.web }}
{{- if .externalUrl }}{{ $args = append $args (print "--web.external-url=" .externalUrl) }}{{ end }}
{{- if .routePrefix }}{{ $args = append $args (print "--web.route-prefix=" .routePrefix) }}{{ end }}
{{- if .configSecret }}{{ $args = append $args "--web.config.file=/etc/afterrun-web/web.yml" }}{{ end }}
{{- range .trustedProxies }}{{ $args = append $args (print "--web.trusted-proxy=" .) }}{{ end }}
{{- end }}
{{- $delay := include "afterrun.shutdownDelay" . | int }}
{{- if $delay }}{{ $args = append $args (printf "--web.shutdown-delay=%ds" $delay) }}{{ end }}
{{- if ne (int .Values.web.shutdownTimeoutSeconds) 8 }}{{ $args = append $args (printf "--web.shutdown-timeout=%ds" (int .Values.web.shutdownTimeoutSeconds)) }}{{ end }}
{{- if ne .Values.log.level "info" }}{{ $args = append $args (print "--log.level=" .Values.log.level) }}{{ end }}
{{- if ne .Values.log.format "logfmt" }}{{ $args = append $args (print "--log.format=" .Values.log.format) }}{{ end }}
{{- toYaml (concat $args (default list .Values.extraArgs)) }}
{{- end }}
