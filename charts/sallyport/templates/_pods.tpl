{{- /* Parts that the pods of both gates have. */ -}}

{{- /* 60 % of a memory limit in MiB, or nothing without a limit: the rest is for threads, buffers and native memory. */ -}}
{{- define "sallyport.heapMiB" -}}
{{- $limit := dig "limits" "memory" "" . | toString -}}
{{- $number := regexFind "^[0-9]+" $limit | int64 -}}
{{- $unit := regexFind "[A-Za-z]*$" $limit -}}
{{- $bytes := dict "" 1 "k" 1000 "Ki" 1024 "M" 1000000 "Mi" 1048576 "G" 1000000000 "Gi" 1073741824 -}}
{{- if and $limit (regexMatch "^[0-9]+(k|Ki|M|Mi|G|Gi)?$" $limit) -}}
{{- div (mul $number (get $bytes $unit) 6) 10485760 -}}
{{- end -}}
{{- end -}}

{{- define "sallyport.heapEnv" -}}
{{- with include "sallyport.heapMiB" . -}}
- name: NODE_OPTIONS
  value: --max-old-space-size={{ . }}
{{- end -}}
{{- end -}}

{{- /* All files of the policy in one folder, whichever ConfigMaps they stand in. */ -}}
{{- define "sallyport.policyVolume" -}}
- name: policy
  projected:
    sources:
      {{- range .Values.policy.existingConfigMaps | default (list (include "sallyport.policy.name" .)) }}
      - configMap:
          name: {{ . }}
      {{- end }}
{{- end -}}

{{- /* A map without the keys that are null: null in a values file takes a default away. */ -}}
{{- define "sallyport.withoutNulls" -}}
{{- $kept := dict -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}{{- $_ := set $kept $key $value -}}{{- end -}}
{{- end -}}
{{- toYaml $kept -}}
{{- end -}}

{{- /* Where a pod may run: the component's values. */ -}}
{{- define "sallyport.placement" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "sallyport.probes" -}}
startupProbe:
  httpGet: { path: /livez, port: ops }
  periodSeconds: 1
  # A policy of 100,000 entries takes some seconds to load.
  failureThreshold: 60
livenessProbe:
  httpGet: { path: /livez, port: ops }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /readyz, port: ops }
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end -}}
