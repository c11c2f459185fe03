{{- /* Where the events come from, and what reading them takes. */ -}}

{{- define "sallyport.correlator.source" -}}
{{- $source := .Values.correlator.source -}}
{{- if eq $source.type "file" -}}
file:/var/run/tetragon/{{ $source.file.name }}
{{- else if hasPrefix "unix://" $source.grpc.address -}}
grpc:unix:///var/run/tetragon/{{ base $source.grpc.address }}
{{- else -}}
grpc:{{ $source.grpc.address }}
{{- end -}}
{{- end -}}

{{- /* The directory of the node with the export file or the agent's socket; empty for gRPC over TCP. */ -}}
{{- define "sallyport.correlator.sourceDirectory" -}}
{{- $source := .Values.correlator.source -}}
{{- if eq $source.type "file" -}}
{{- $source.file.directory -}}
{{- else if hasPrefix "unix://" $source.grpc.address -}}
{{- dir (trimPrefix "unix://" $source.grpc.address) -}}
{{- end -}}
{{- end -}}

{{- /* Not empty when the correlator touches files of the node, all of which belong to root. */ -}}
{{- define "sallyport.correlator.readsNode" -}}
{{- $correlator := .Values.correlator -}}
{{- if or (include "sallyport.correlator.sourceDirectory" .) (eq $correlator.state.type "hostPath") $correlator.auditLog.hostPath -}}
true
{{- end -}}
{{- end -}}

{{- /*
Tetragon writes its export with mode 0600, as root: the owner's identity reads it, and no capability is needed. Everything
else that root could do is taken away. Without files of the node: any other user, as Pod Security "restricted" wants it.
*/ -}}
{{- define "sallyport.correlator.securityContext" -}}
{{- $common := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL")) -}}
{{- $user := dict "runAsNonRoot" true "runAsUser" 65532 "runAsGroup" 65532 -}}
{{- if include "sallyport.correlator.readsNode" . -}}
{{- $user = dict "runAsUser" 0 "runAsGroup" 0 -}}
{{- end -}}
{{- include "sallyport.withoutNulls" (merge (dict) .Values.correlator.securityContext $user $common) -}}
{{- end -}}
