{{- define "switchboard.labels" -}}
{{ include "switchboard.selector" . }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "switchboard.selector" -}}
app.kubernetes.io/name: switchboard
{{- if ne .Release.Name "switchboard" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- end }}

{{- define "switchboard.name" -}}
{{- if contains "switchboard" .Release.Name }}{{ .Release.Name }}{{ else }}{{ printf "%s-switchboard" .Release.Name }}{{ end }}
{{- end }}
