{{- /*
The alerts, as a list. Metrics of Sallyport's own are explained in docs/metrics.md; those that begin with apiserver_ are
the API server's. docs/operations.md says what to do about each.
*/ -}}
{{- /* A counter's first sample is 1 and not 0 when its series begins with an event: increase() alone would not see it. */ -}}
{{- define "sallyport.grown" -}}
sum(increase({{ . }}[10m])) > 0 or sum({{ . }} unless {{ . }} offset 10m) > 0
{{- end -}}

{{- define "sallyport.alerts" -}}
{{- $here := printf "namespace=%q" .Release.Namespace -}}
{{- $ours := `name="images.sallyport.dev"` -}}
{{- if .Values.webhook.enabled }}
- alert: SallyportFailsOpen
  expr: >-
    {{ include "sallyport.grown" (printf "apiserver_admission_webhook_fail_open_count{%s}" $ours) }}
  for: 0m
  severity: critical
  summary: >-
    Workloads are admitted unjudged
  description: >-
    The API server could not ask the webhook and admitted {{ "{{ $value | humanize }}" }} requests in ten minutes (failurePolicy Ignore). What came in meanwhile is found at run time.
- alert: SallyportRejectsByError
  expr: >-
    {{ include "sallyport.grown" (printf `apiserver_admission_webhook_rejection_count{%s,error_type!="no_error"}` $ours) }}
  for: 0m
  severity: critical
  summary: >-
    Workloads are refused because the webhook does not answer
  description: >-
    The API server refused {{ "{{ $value | humanize }}" }} requests in ten minutes not because of an image but because it could not ask the webhook (failurePolicy Fail).
- alert: SallyportWebhookAbsent
  expr: >-
    absent(sallyport_policy_info{ {{- $here -}} })
  for: 10m
  severity: critical
  summary: >-
    No replica of the webhook reports
  description: >-
    Either no replica runs, or its ops port is not scraped.
- alert: SallyportAnswersSlowly
  expr: >-
    histogram_quantile(0.99, sum by (le) (rate(apiserver_admission_webhook_admission_duration_seconds_bucket{ {{- $ours -}} }[5m]))) > 0.5
  for: 10m
  severity: warning
  summary: >-
    One of a hundred reviews takes longer than half a second
  description: >-
    As the API server sees it, with the network; it gives up after {{ .Values.webhook.timeoutSeconds }} s.
- alert: SallyportJudgesSlowly
  expr: >-
    histogram_quantile(0.99, sum by (le) (rate(sallyport_admission_duration_seconds_bucket{ {{- $here -}} }[5m]))) > 0.05
  for: 10m
  severity: warning
  summary: >-
    The webhook takes longer than 50 ms for one of a hundred reviews
  description: >-
    From the parsed body to the answer; a millisecond is usual. The replicas may lack CPU.
- alert: SallyportAnswersWithErrors
  expr: >-
    sum by (code) (increase(sallyport_admission_errors_total{ {{- $here }},code=~"INTERNAL|OVERLOADED|BODY_TOO_LARGE|REVIEW_INVALID"}[10m])) > 0
  for: 0m
  severity: warning
  summary: >-
    The webhook could not judge {{ "{{ $value | humanize }}" }} requests ({{ "{{ $labels.code }}" }})
  description: >-
    The API server applied failurePolicy {{ .Values.webhook.failurePolicy }} to them.
- alert: SallyportCertificateEndsIn14Days
  expr: >-
    min(sallyport_certificate_expiry_timestamp_seconds{ {{- $here -}} }) - time() < 14 * 86400
  for: 1h
  severity: warning
  summary: >-
    The webhook's certificate ends in {{ "{{ $value | humanizeDuration }}" }}
  description: >-
    It should have been renewed ({{ .Values.tls.mode }}).
- alert: SallyportCertificateEndsIn3Days
  expr: >-
    min(sallyport_certificate_expiry_timestamp_seconds{ {{- $here -}} }) - time() < 3 * 86400
  for: 10m
  severity: critical
  summary: >-
    The webhook's certificate ends in {{ "{{ $value | humanizeDuration }}" }}
  description: >-
    After that the API server cannot ask the webhook, and applies failurePolicy {{ .Values.webhook.failurePolicy }}.
- alert: SallyportCertificateRejected
  expr: >-
    max by (pod) (sallyport_certificate_rejected{ {{- $here -}} }) == 1
  for: 10m
  severity: warning
  summary: >-
    {{ "{{ $labels.pod }}" }} cannot use its new certificate
  description: >-
    The last good one stays in force until its end. The log of the pod says what is wrong.
- alert: SallyportPolicyRejected
  expr: >-
    max by (pod) (sallyport_policy_rejected{ {{- $here -}} }) == 1
  for: 1m
  severity: warning
  summary: >-
    {{ "{{ $labels.pod }}" }} cannot load the policy
  description: >-
    The last good one stays in force, but a pod that starts now finds none. The log of the pod names file, line and column.
- alert: SallyportPoliciesDiffer
  expr: >-
    count(count by (policy, revision) (sallyport_policy_info{ {{- $here -}} })) > 1
  for: 10m
  severity: warning
  summary: >-
    Replicas judge by {{ "{{ $value }}" }} different policies
  description: >-
    A change takes about a minute to reach all of them.
- alert: SallyportNamespaceLabelsUnknown
  expr: >-
    min by (pod) (sallyport_namespace_labels_synced{ {{- $here -}} }) == 0
  for: 5m
  severity: warning
  summary: >-
    {{ "{{ $labels.pod }}" }} does not know the labels of namespaces
  description: >-
    The policy selects by them; until they are known, the strictest mode that could apply holds.
- alert: SallyportRecordsDropped
  expr: >-
    sum by (pod, recorder) (delta(sallyport_records_dropped{ {{- $here -}} }[15m])) > 0
  for: 0m
  severity: warning
  summary: >-
    {{ "{{ $labels.pod }}" }} dropped decision records ({{ "{{ $labels.recorder }}" }})
  description: >-
    Answers go on, but the records no longer tell everything. A disk that is full or slow is the usual reason.
{{- end }}
{{- end -}}
