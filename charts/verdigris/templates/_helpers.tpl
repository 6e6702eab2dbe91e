{{- define "verdigris.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of everything in a release. 48 letters leave room for "-controller" in a label's 63. Kubernetes cuts what stands before a pod's own
ending to 58: "-controller" still differs from the others there. */}}
{{- define "verdigris.fullname" -}}
{{- $name := "" -}}
{{- if .Values.fullnameOverride -}}
{{- $name = .Values.fullnameOverride | trunc 48 | trimSuffix "-" -}}
{{- else if contains (include "verdigris.name" .) .Release.Name -}}
{{- $name = .Release.Name | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- $name = printf "%s-%s" .Release.Name (include "verdigris.name" .) | trunc 48 | trimSuffix "-" -}}
{{- end -}}
{{- /* A release may be called 1.2; a Service may not. */ -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- fail (printf "the name %q of this release is no name of a Service: set fullnameOverride to one of lower-case letters, digits and dashes that begins with a letter" $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "verdigris.selector" -}}
app.kubernetes.io/name: {{ include "verdigris.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "verdigris.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "verdigris.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: verdigris
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "verdigris.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "verdigris.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "verdigris.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "verdigris.claim" -}}
{{- default (printf "%s-data" (include "verdigris.fullname" .)) .Values.storage.existingClaim -}}
{{- end -}}

{{- define "verdigris.fleetConfigMap" -}}
{{- default (printf "%s-fleet" (include "verdigris.fullname" .)) .Values.fleet.existingConfigMap -}}
{{- end -}}

{{/* What `database.roles` says of one role: a dict with `root`, `role`, `key` (`url` or `existingSecretKey`); nothing when it says nothing. */}}
{{- define "verdigris.databaseRole" -}}
{{- get (default (dict) (get (default (dict) .root.Values.database.roles) .role)) .key | default "" -}}
{{- end -}}

{{/* The database's address for one role, in a Secret of the chart: a dict with `root` and `role`. */}}
{{- define "verdigris.databaseUrl" -}}
{{- default .root.Values.database.url (include "verdigris.databaseRole" (dict "root" .root "role" .role "key" "url")) -}}
{{- end -}}

{{/* The environment variable with the database's address, for `.role`. `.secret` is the Secret that the chart makes, with a key for each role. */}}
{{- define "verdigris.databaseEnv" -}}
{{- $key := include "verdigris.databaseRole" (dict "root" .root "role" .role "key" "existingSecretKey") -}}
- name: VERDIGRIS_DATABASE__URL
  valueFrom:
    secretKeyRef:
      name: {{ default .secret .root.Values.database.existingSecret }}
      key: {{ if .root.Values.database.existingSecret }}{{ default .root.Values.database.existingSecretKey $key }}{{ else }}{{ .role }}{{ end }}
{{- end -}}

{{/* `settings` as environment variables, sorted. Helm reads whole numbers as floating point, and prints large ones as 1e+07. */}}
{{- define "verdigris.settingsEnv" -}}
{{- range $section, $keys := .Values.settings }}
{{- range $key, $value := $keys }}
- name: {{ printf "VERDIGRIS_%s__%s" (upper $section) (upper $key) }}
  value: {{ if kindIs "float64" $value }}{{ int64 $value | toString | quote }}{{ else }}{{ $value | toString | quote }}{{ end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A Deployment of one role: a dict with `root`, `role` (its name and command), `port` (where it answers probes), `mounts`, `volumes`,
`env`, `envFrom`. */}}
{{- define "verdigris.deployment" -}}
{{- $root := .root -}}
{{- $values := index $root.Values .role -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "verdigris.fullname" $root }}-{{ .role }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "verdigris.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
spec:
  replicas: {{ int64 $values.replicas }}
  selector:
    matchLabels:
      {{- include "verdigris.selector" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .role }}
  template:
    metadata:
      labels:
        {{- include "verdigris.labels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ .role }}
      {{- /* Pods that have the fleet file are replaced when it changes. The database's address has no such mark: its digest would help to
      guess the password. What the values say themselves comes last. */}}
      {{- $annotations := dict }}
      {{- range .mounts }}
      {{- if eq .name "fleet" }}
      {{- $_ := set $annotations "checksum/fleet" ($root.Values.fleet.yaml | sha256sum) }}
      {{- end }}
      {{- end }}
      {{- with mergeOverwrite $annotations (default (dict) $values.podAnnotations) }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ include "verdigris.serviceAccount" $root }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- with $root.Values.image.pullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
      terminationGracePeriodSeconds: {{ int64 $values.terminationGracePeriodSeconds }}
      {{- with $root.Values.podSecurityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: {{ .role }}
          image: {{ include "verdigris.image" $root | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          command: ["verdigris"]
          args: [{{ .role | quote }}]
          {{- with $root.Values.securityContext }}
          securityContext:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          env:
            {{- include "verdigris.databaseEnv" (dict "root" $root "role" .role "secret" (printf "%s-database" (include "verdigris.fullname" $root))) | nindent 12 }}
            - name: {{ if eq .role "api" }}VERDIGRIS_HTTP__LISTEN{{ else }}VERDIGRIS_HEALTH__LISTEN{{ end }}
              value: "0.0.0.0:{{ .port }}"
            - name: VERDIGRIS_HTTP__PUBLIC_URL
              value: {{ $root.Values.publicUrl | quote }}
            {{- with $root.Values.builderUrl }}
            - name: VERDIGRIS_HTTP__BUILDER_URL
              value: {{ . | quote }}
            {{- end }}
            - name: VERDIGRIS_STORAGE__DIRECTORY
              value: /var/lib/verdigris
            - name: VERDIGRIS_STORAGE__RESULTS
              value: /srv/verdigris/results
            - name: VERDIGRIS_STORAGE__SOURCES
              value: /srv/verdigris/sources
            - name: VERDIGRIS_STORAGE__SECRETS
              value: /etc/verdigris/secrets
            - name: VERDIGRIS_FLEET__FILE
              value: /etc/verdigris/fleet/fleet.yaml
            {{- with include "verdigris.settingsEnv" $root | trim }}
            {{- . | nindent 12 }}
            {{- end }}
            {{- with .env }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
            {{- with $values.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          {{- with .envFrom }}
          envFrom:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          ports:
            - {name: health, containerPort: {{ .port }}, protocol: TCP}
          startupProbe:
            httpGet: {path: /health/live, port: health}
            periodSeconds: 2
            failureThreshold: 60
          livenessProbe:
            httpGet: {path: /health/live, port: health}
            periodSeconds: 20
            timeoutSeconds: 5
            failureThreshold: 3
          readinessProbe:
            httpGet: {path: /health, port: health}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 2
          {{- with $values.resources }}
          resources:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          volumeMounts:
            - {name: state, mountPath: /var/lib/verdigris}
            - {name: tmp, mountPath: /tmp}
            {{- with .mounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - {name: state, emptyDir: {}}
        - {name: tmp, emptyDir: {}}
        {{- with .volumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end -}}
