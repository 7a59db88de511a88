{{/* Fails with every combination of values that cannot work, and what to change. */}}
{{- define "afterrun.check" -}}
{{- $problems := list }}
{{- $values := .Values }}
{{- $postgres := eq .Values.storage.type "postgres" }}
{{- $replicas := include "afterrun.replicas" . | int }}
{{- with $values.storage.postgres }}
{{- if and $postgres (not .url) (not .urlSecret) }}
{{- $problems = append $problems "storage.postgres.url is missing: set postgresql://USER@HOST/DATABASE, or storage.postgres.urlSecret" }}
{{- else if and .url .urlSecret }}
{{- $problems = append $problems "storage.postgres.url and storage.postgres.urlSecret exclude each other: keep one" }}
{{- else if and (not $postgres) (or .url .urlSecret .passwordSecret) }}
{{- $problems = append $problems "storage.postgres is set, and storage.type is sqlite: set storage.type=postgres" }}
{{- end }}
{{- if and .url (not (regexMatch "^postgres(ql)?://" .url)) }}
{{- $problems = append $problems "storage.postgres.url does not begin with postgresql://" }}
{{- end }}
{{- if regexMatch "://[^/?#]*:[^/?#@]*@|[?&]password=" .url }}
{{- $problems = append $problems "storage.postgres.url has a password: put it into a Secret, and set storage.postgres.passwordSecret" }}
{{- end }}
{{- end }}
{{- if and (not $postgres) (gt $replicas 1) }}
{{- $problems = append $problems (printf "replicas is %d, and only one daemon can use a SQLite database: set replicas=1, or storage.type=postgres" $replicas) }}
{{- end }}
{{- if and $postgres $values.persistence.existingClaim }}
{{- $problems = append $problems "persistence.existingClaim is for SQLite, and storage.type is postgres: remove it" }}
{{- end }}
{{- if and $values.persistence.existingClaim (not $values.persistence.enabled) }}
{{- $problems = append $problems "persistence.existingClaim is set, and persistence.enabled is false: remove one of them" }}
{{- end }}
{{- if and $values.strategy (not $postgres) }}
{{- if not $values.persistence.existingClaim }}
{{- $problems = append $problems "strategy is for a Deployment, and this is a StatefulSet: remove it" }}
{{- else if ne (default "" $values.strategy.type) "Recreate" }}
{{- $problems = append $problems "strategy would start a second daemon on one SQLite database: remove it, or set strategy.type=Recreate" }}
{{- end }}
{{- end }}
{{- with $values.config }}
{{- $sources := list }}
{{- if .content }}{{ $sources = append $sources "config.content" }}{{ end }}
{{- if .existingConfigMap }}{{ $sources = append $sources "config.existingConfigMap" }}{{ end }}
{{- if .git.url }}{{ $sources = append $sources "config.git.url" }}{{ end }}
{{- if gt (len $sources) 1 }}
{{- $problems = append $problems (printf "%s exclude each other: keep one" (join " and " $sources)) }}
{{- end }}
{{- if and .git.tokenSecret (not .git.url) }}
{{- $problems = append $problems "config.git.tokenSecret needs config.git.url" }}
{{- end }}
{{- if regexMatch "://[^/]*@" .git.url }}
{{- $problems = append $problems "config.git.url has a user or a password: set config.git.username and config.git.tokenSecret" }}
{{- end }}
{{- end }}
{{- with $values.web }}
{{- if and .tls (not .configSecret) }}
{{- $problems = append $problems "web.tls needs web.configSecret, a Secret with web.yml, the certificate and the key" }}
{{- end }}
{{- $stop := add (include "afterrun.shutdownDelay" $ | int) (int .shutdownTimeoutSeconds) }}
{{- if le (int $values.terminationGracePeriodSeconds) (int $stop) }}
{{- $problems = append $problems (printf "terminationGracePeriodSeconds is %d, and a stop takes up to %d seconds (web.shutdownDelaySeconds and web.shutdownTimeoutSeconds): the pod would be killed; set at least %d" (int $values.terminationGracePeriodSeconds) (int $stop) (int (add $stop 2))) }}
{{- end }}
{{- end }}
{{- if and $values.web.tls $values.serviceMonitor.enabled (not $values.serviceMonitor.tlsConfig) }}
{{- $problems = append $problems "serviceMonitor.tlsConfig is empty, and web.tls is true: Prometheus reaches pods by address, and no certificate has it; set {ca: {secret: {name: SECRET, key: ca.crt}}, serverName: NAME}, or {insecureSkipVerify: true}" }}
{{- end }}
{{- if gt (len $values.config.content) 1048000 }}
{{- $problems = append $problems (printf "config.content has %d bytes, and a ConfigMap holds 1 MiB: use config.git.url" (len $values.config.content)) }}
{{- end }}
{{- if and $values.ingress.enabled (not $values.ingress.hosts) }}
{{- $problems = append $problems "ingress.hosts is empty: set the names under which the daemon is reached" }}
{{- end }}
{{- if and $values.httpRoute.enabled (not $values.httpRoute.parentRefs) }}
{{- $problems = append $problems "httpRoute.parentRefs is empty: set the Gateway, as in [{name: GATEWAY}]" }}
{{- end }}
{{- range $values.extraArgs }}
{{- $flag := (splitList "=" .) | first | replace "--no-" "--" }}
{{- if has $flag (list "--config.file" "--config.git-url" "--config.git-ref" "--config.git-path" "--config.git-interval" "--config.git-username" "--config.git-token-file" "--config.enable-auto-reload" "--storage.path" "--storage.password-file" "--web.config.file" "--web.external-url" "--web.route-prefix" "--web.trusted-proxy" "--web.shutdown-delay" "--web.shutdown-timeout" "--log.level" "--log.format") }}
{{- $problems = append $problems (printf "extraArgs: the chart sets %s: use its value, under %s" $flag (regexReplaceAll "^--([a-z]+).*" $flag "$1")) }}
{{- else if has $flag (list "--web.listen-address" "--web.systemd-socket" "--web.telemetry-path" "--config.check") }}
{{- $problems = append $problems (printf "extraArgs: %s does not fit the ports and probes of the chart: remove it" $flag) }}
{{- end }}
{{- end }}
{{- range $values.extraEnv }}
{{- if has .name (list "AFTERRUN_STORAGE_URL" "AFTERRUN_STORAGE_PASSWORD_FILE") }}
{{- $problems = append $problems (printf "extraEnv: the chart sets %s: use its value, under storage.postgres" .name) }}
{{- end }}
{{- end }}
{{- $names := list "config" "data" "git" "postgres" "tmp" "web" }}
{{- range $values.extraVolumes }}
{{- if has .name $names }}
{{- $problems = append $problems (printf "extraVolumes: there is a volume %q already: use another name" .name) }}
{{- end }}
{{- $names = append $names .name }}
{{- end }}
{{- $paths := list "/data" "/etc/afterrun" "/etc/afterrun-web" "/run/secrets/git" "/run/secrets/postgres" "/tmp" }}
{{- range $values.extraVolumeMounts }}
{{- if has (trimSuffix "/" .mountPath) $paths }}
{{- $problems = append $problems (printf "extraVolumeMounts: something is mounted at %s already: use another path" .mountPath) }}
{{- end }}
{{- $paths = append $paths (trimSuffix "/" .mountPath) }}
{{- if regexMatch "^(/etc/afterrun|/etc/afterrun-web|/run/secrets/git|/run/secrets/postgres)/." .mountPath }}
{{- $problems = append $problems (printf "extraVolumeMounts: %s is in a read-only mount, and the container would not start: use another path" .mountPath) }}
{{- end }}
{{- if not (has .name $names) }}
{{- $problems = append $problems (printf "extraVolumeMounts: there is no volume %q: add it to extraVolumes" .name) }}
{{- end }}
{{- end }}
{{- range $name, $labels := dict "commonLabels" $values.commonLabels "podLabels" $values.podLabels "service.labels" $values.service.labels }}
{{- range list "app.kubernetes.io/name" "app.kubernetes.io/instance" }}
{{- if hasKey (default dict $labels) . }}
{{- $problems = append $problems (printf "%s: %s selects the pods: set nameOverride, or another name of the release" $name .) }}
{{- end }}
{{- end }}
{{- end }}
{{- $fullname := include "afterrun.fullname" . }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]{0,50}[a-z0-9])?$" $fullname) }}
{{- $problems = append $problems (printf "the name %q must begin with a letter, and have at most 52 characters, a-z, 0-9 and '-': set fullnameOverride" $fullname) }}
{{- end }}
{{- if $problems }}
{{- fail (printf "\n\nThe values of afterrun-exporter cannot work:\n  - %s\n" (join "\n  - " $problems)) }}
{{- end }}
{{- end }}
