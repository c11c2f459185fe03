{{- /* Names, labels and images. */ -}}

{{- define "sallyport.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* At most 45 characters: with what is added a name has 63 at most. */ -}}
{{- define "sallyport.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" -}}
{{- else if contains (include "sallyport.name" .) .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "sallyport.name" .) | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "sallyport.webhook.name" -}}{{ include "sallyport.fullname" . }}-webhook{{- end -}}
{{- define "sallyport.correlator.name" -}}{{ include "sallyport.fullname" . }}-correlator{{- end -}}

{{- /* Cluster-wide objects carry the release's namespace too: two releases of one name do not meet. */ -}}
{{- define "sallyport.configuration.name" -}}
{{- if eq .Release.Namespace (include "sallyport.fullname" .) -}}
{{- include "sallyport.fullname" . -}}
{{- else -}}
{{- printf "%s-%s" .Release.Namespace (include "sallyport.fullname" .) -}}
{{- end -}}
{{- end -}}
{{- define "sallyport.webhook.clusterName" -}}{{ include "sallyport.configuration.name" . }}-webhook{{- end -}}
{{- define "sallyport.correlator.clusterName" -}}{{ include "sallyport.configuration.name" . }}-correlator{{- end -}}

{{- define "sallyport.webhook.account" -}}
{{- .Values.webhook.serviceAccount.name | default (include "sallyport.webhook.name" .) -}}
{{- end -}}
{{- define "sallyport.correlator.account" -}}
{{- .Values.correlator.serviceAccount.name | default (include "sallyport.correlator.name" .) -}}
{{- end -}}

{{- define "sallyport.policy.name" -}}{{ include "sallyport.fullname" . }}-policy{{- end -}}

{{- /* The Secret with the serving certificate, whoever makes it. */ -}}
{{- define "sallyport.tls.name" -}}
{{- if eq .Values.tls.mode "existingSecret" -}}
{{- required "tls.existingSecret.name: name the Secret with tls.crt and tls.key" .Values.tls.existingSecret.name -}}
{{- else -}}
{{- include "sallyport.webhook.name" . -}}-tls
{{- end -}}
{{- end -}}

{{- define "sallyport.dnsNames" -}}
{{- $service := printf "%s.%s" (include "sallyport.webhook.name" .) .Release.Namespace -}}
{{- concat (list (printf "%s.svc" $service) $service) .Values.tls.extraDnsNames | toJson -}}
{{- end -}}

{{- /* The labels that select; they can never change. Call with a list of root and component. */ -}}
{{- define "sallyport.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "sallyport.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "sallyport.labels" -}}
{{- $root := index . 0 -}}
{{ include "sallyport.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: sallyport
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Metadata of an object of the release's namespace: root, component, name, annotations, and more labels perhaps. */ -}}
{{- define "sallyport.metadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 2 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "sallyport.labels" . | nindent 2 }}
  {{- if gt (len .) 4 }}
  {{- with index . 4 }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- end }}
{{- with merge (dict) (index . 3) $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* The same of a cluster-wide object. */ -}}
{{- define "sallyport.clusterMetadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 2 }}
labels:
  {{- include "sallyport.labels" . | nindent 2 }}
{{- with merge (dict) (index . 3) $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "sallyport.image" -}}
{{- $repository := required "image.repository: name where you pushed the image, say registry.corp.example/sallyport (Containerfile)" .Values.image.repository -}}
{{- with .Values.global.imageRegistry | default .Values.image.registry -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) $repository -}}
{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "sallyport.pullSecrets" -}}
{{- with concat .Values.global.imagePullSecrets .Values.image.pullSecrets | uniq -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- /* The labels of a gate's pods: without the chart's version, so that another chart alone restarts nothing. */ -}}
{{- define "sallyport.podLabels" -}}
{{- $component := index . 1 -}}
{{- include "sallyport.selector" . }}
{{- with merge (dict) (get (index . 0).Values $component).podLabels (index . 0).Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}
