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
    absent(sallyport_certificate_expiry_timestamp_seconds{ {{- $here -}} })
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
- alert: SallyportPoliciesDiffer
  expr: >-
    count(count by (policy, revision) (sallyport_policy_info{ {{- $here -}} })) > 1
  for: 10m
  severity: warning
  summary: >-
    The gates judge by {{ "{{ $value }}" }} different policies
  description: >-
    A change takes about a minute to reach all of them; a correlator reads the policy when it starts.
{{- if .Values.correlator.enabled }}
- alert: SallyportStreamStale
  expr: >-
    sallyport_last_event_age_seconds{ {{- $here -}} } > {{ include "sallyport.seconds" .Values.correlator.staleAfter }}
  for: 5m
  severity: warning
  summary: >-
    {{ "{{ $labels.pod }}" }} has seen no event for {{ "{{ $value | humanizeDuration }}" }}
  description: >-
    Tetragon is down on its node, exports elsewhere, or the correlator is far behind. A node on which nothing starts is quiet, too.
- alert: SallyportCorrelatorUnready
  expr: >-
    kube_daemonset_status_number_unavailable{ {{- $here }},daemonset={{ include "sallyport.correlator.name" . | quote }}} > 0
  for: 30m
  severity: warning
  summary: >-
    {{ "{{ $value }}" }} nodes have no correlator that works
  description: >-
    What runs there is not looked at.
- alert: SallyportLinesUnread
  expr: >-
    sum by (pod, why) (increase(sallyport_source_unread_lines_total{ {{- $here -}} }[15m])) > 0
  for: 0m
  severity: warning
  summary: >-
    {{ "{{ $labels.pod }}" }} could not read {{ "{{ $value | humanize }}" }} lines ({{ "{{ $labels.why }}" }})
  description: >-
    What happened in them is not known. A coverage finding names the time.
- alert: SallyportStateUnwritable
  expr: >-
    max by (pod) (sallyport_state_unwritable{ {{- $here -}} }) == 1
  for: 5m
  severity: critical
  summary: >-
    {{ "{{ $labels.pod }}" }} cannot write its state, and gives no finding out
  description: >-
    The disk of the state directory is full or fails, most often. Nothing is lost while the export keeps its files.
- alert: SallyportSinkPaused
  expr: >-
    max by (pod, sink) (sallyport_sink_paused{ {{- $here -}} }) == 1
  for: 5m
  severity: warning
  summary: >-
    {{ "{{ $labels.sink }}" }} refuses findings of {{ "{{ $labels.pod }}" }}
  description: >-
    Credentials or rights, most often. Findings wait; the log says what the sink answers.
- alert: SallyportFindingsLost
  expr: >-
    sum by (pod, sink) (increase(sallyport_sink_dropped_total{ {{- $here -}} }[15m])) > 0
  for: 0m
  severity: critical
  summary: >-
    {{ "{{ $labels.pod }}" }} lost findings for {{ "{{ $labels.sink }}" }}
  description: >-
    Neither the sink took them nor could they be kept as dead letters.
{{- end }}
{{- end -}}

{{- /* A length of time such as 90s, 15m, 24h or 7d, in seconds. */ -}}
{{- define "sallyport.seconds" -}}
{{- $units := dict "s" 1 "m" 60 "h" 3600 "d" 86400 -}}
{{- mul (regexFind "^[0-9]+" . | int64) (get $units (regexFind "[smhd]$" .)) -}}
{{- end -}}
