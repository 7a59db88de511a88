{{/* The template of the pods, which the StatefulSet and the Deployment share. */}}
{{- define "afterrun.pod" -}}
metadata:
  labels:
    {{- /* Without the version of the chart, which would restart the pods. */}}
    {{- toYaml (mergeOverwrite (dict) (default dict .Values.commonLabels) (default dict .Values.podLabels) (include "afterrun.selectorLabels" . | fromYaml)) | nindent 4 }}
  {{- /* With autoReload the daemon reads a changed file itself. */}}
  {{- $checksum := not (or .Values.config.autoReload .Values.config.git.url .Values.config.existingConfigMap) }}
  {{- if or $checksum .Values.podAnnotations }}
  annotations:
    {{- if $checksum }}
    checksum/config: {{ include "afterrun.configText" . | sha256sum }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
spec:
  serviceAccountName: {{ include "afterrun.serviceAccountName" . }}
  automountServiceAccountToken: false
  # AFTERRUN_PORT and the like, which Kubernetes makes of the name of the Service.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ int .Values.terminationGracePeriodSeconds }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- $spread := .Values.topologySpreadConstraints }}
  {{- if and (not $spread) (include "afterrun.postgres" .) }}
  {{- $spread = list (dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway") }}
  {{- end }}
  {{- with $spread }}
  {{- $selector := dict "labelSelector" (dict "matchLabels" (include "afterrun.selectorLabels" $ | fromYaml)) }}
  topologySpreadConstraints:
    {{- range . }}
    - {{- toYaml (mergeOverwrite (deepCopy $selector) .) | nindent 6 }}
    {{- end }}
  {{- end }}
  containers:
    - name: afterrun
      image: {{ include "afterrun.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        {{- include "afterrun.args" . | nindent 8 }}
      {{- if or (include "afterrun.postgres" .) .Values.extraEnv }}
      env:
        {{- if include "afterrun.postgres" . }}
        - name: AFTERRUN_STORAGE_URL
          {{- if .Values.storage.postgres.urlSecret }}
          valueFrom:
            secretKeyRef:
              name: {{ .Values.storage.postgres.urlSecret }}
              key: {{ .Values.storage.postgres.urlSecretKey }}
          {{- else }}
          value: {{ .Values.storage.postgres.url | quote }}
          {{- end }}
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      ports:
        - name: http
          containerPort: 10707
          protocol: TCP
      {{- $healthy := dict "path" (print .Values.web.routePrefix "/-/healthy") "port" "http" }}
      {{- $ready := dict "path" (print .Values.web.routePrefix "/-/ready") "port" "http" }}
      {{- if .Values.web.tls }}
      {{- $_ := set $healthy "scheme" "HTTPS" }}
      {{- $_ := set $ready "scheme" "HTTPS" }}
      {{- end }}
      # The port is opened once the database is migrated and every job is planned.
      startupProbe:
        {{- if .Values.startupProbe }}
        {{- toYaml .Values.startupProbe | nindent 8 }}
        {{- else }}
        httpGet:
          {{- toYaml $healthy | nindent 10 }}
        periodSeconds: 2
        timeoutSeconds: 5
        failureThreshold: 150
        {{- end }}
      livenessProbe:
        {{- if .Values.livenessProbe }}
        {{- toYaml .Values.livenessProbe | nindent 8 }}
        {{- else }}
        httpGet:
          {{- toYaml $healthy | nindent 10 }}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
        {{- end }}
      readinessProbe:
        {{- if .Values.readinessProbe }}
        {{- toYaml .Values.readinessProbe | nindent 8 }}
        {{- else }}
        httpGet:
          {{- toYaml $ready | nindent 10 }}
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 1
        {{- end }}
      securityContext:
        {{- toYaml .Values.securityContext | nindent 8 }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - name: data
          mountPath: /data
        {{- if not .Values.config.git.url }}
        # As a directory: a file that is mounted by subPath never changes.
        - name: config
          mountPath: /etc/afterrun
          readOnly: true
        {{- end }}
        {{- if .Values.config.git.tokenSecret }}
        - name: git
          mountPath: /run/secrets/git
          readOnly: true
        {{- end }}
        {{- if and (include "afterrun.postgres" .) .Values.storage.postgres.passwordSecret }}
        - name: postgres
          mountPath: /run/secrets/postgres
          readOnly: true
        {{- end }}
        {{- if .Values.web.configSecret }}
        - name: web
          mountPath: /etc/afterrun-web
          readOnly: true
        {{- end }}
        - name: tmp
          mountPath: /tmp
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- if include "afterrun.postgres" . }}
    # The working directory; --config.git-url caches commits there.
    - name: data
      emptyDir: {sizeLimit: 1Gi}
    {{- else if not .Values.persistence.enabled }}
    - name: data
      emptyDir: {}
    {{- else if .Values.persistence.existingClaim }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ .Values.persistence.existingClaim }}
    {{- end }}
    {{- if not .Values.config.git.url }}
    - name: config
      configMap:
        name: {{ include "afterrun.configMap" . }}
    {{- end }}
    {{- if .Values.config.git.tokenSecret }}
    - name: git
      secret:
        secretName: {{ .Values.config.git.tokenSecret }}
        defaultMode: 0440
    {{- end }}
    {{- if and (include "afterrun.postgres" .) .Values.storage.postgres.passwordSecret }}
    - name: postgres
      secret:
        secretName: {{ .Values.storage.postgres.passwordSecret }}
        defaultMode: 0440
    {{- end }}
    {{- if .Values.web.configSecret }}
    - name: web
      secret:
        secretName: {{ .Values.web.configSecret }}
        defaultMode: 0440
    {{- end }}
    - name: tmp
      emptyDir: {sizeLimit: 64Mi}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
