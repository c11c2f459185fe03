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

{{- /* Not empty when a sink is of this type: call with a list of root and type. */ -}}
{{- define "sallyport.correlator.hasSink" -}}
{{- $type := index . 1 -}}
{{- range (index . 0).Values.correlator.sinks -}}
{{- if or (eq . $type) (hasPrefix (printf "%s?" $type) .) (hasPrefix (printf "%s:" $type) .) -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Not empty when the correlator speaks to the API server. */ -}}
{{- define "sallyport.correlator.asksServer" -}}
{{- if or .Values.correlator.inventory (include "sallyport.correlator.hasSink" (list . "kubernetes-events")) (include "sallyport.correlator.hasSink" (list . "policy-report")) -}}
true
{{- end -}}
{{- end -}}
