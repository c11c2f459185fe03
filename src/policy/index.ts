/** The policy's public door: whatever the gates, the commands and the tests may call. */

export { assemblePolicy } from './assemble-policy.js'
export type { Command, UnwrapStep } from './command.js'
export { type CommandLine, readCommandLine } from './command-line.js'
export { compileDraft, compilePolicy } from './compile-policy.js'
export { type CompiledPolicy, findException } from './compiled-policy.js'
export { type Action, type AdmissionQuestion, type Decision, decide, type JudgedImage } from './decide.js'
export { cutRunes, escapeForeign } from './escape-foreign.js'
export { type EvaluationContext, evaluate } from './evaluate.js'
export { createExecInspector, type ExecInspector } from './exec-inspector.js'
export { EXEC_ORIGINS, type ExecOrigin } from './exec-origin.js'
export { NumbersBuilder } from './flat-numbers.js'
export { compileGlob, countStars, MAX_STARS } from './glob.js'
export {
  formatImageReference,
  type ImageReference,
  type ParsedImageReference,
  parseImageReference,
} from './image-reference.js'
export { type LabelExpression, type LabelSelector, matchesSelector } from './label-selector.js'
export { findMaintenance, type MaintenanceWindow } from './maintenance.js'
export type { NamespaceScope } from './namespace-rules.js'
export { type ParsedPattern, type Pattern, parsePattern } from './pattern.js'
export { API_VERSION, KIND, type PolicyDocument, policyJsonSchema } from './policy-document.js'
export { readPolicyDocuments } from './policy-documents.js'
export type { PolicyDraft, RuntimeTools } from './policy-draft.js'
export { type ImageException, isLive } from './policy-entry.js'
export {
  type DocumentPath,
  formatOrigin,
  formatProblem,
  type PolicyProblem,
  type PolicySource,
  type Position,
} from './policy-problem.js'
export type { RuleSource } from './rule-file.js'
export { runSteps, type Steps } from './steps.js'
export {
  type Confidence,
  compileToolCatalogue,
  matchName,
  matchTool,
  type NameMatch,
  type ToolCatalogue,
} from './tool-catalogue.js'
export { parseToolCatalogue, type ToolCatalogueDocument } from './tool-catalogue-document.js'
export { inspectExec } from './tool-inspection.js'
export { compileToolRules, type ToolRuleSources, type ToolRules } from './tool-rules.js'
export type { ExecFacts, ExecSighting, SightingKind, ToolMatch } from './tool-sighting.js'
export { type ClosestEntry, MODES, type Mode, type Outcome, type Reason, type Verdict } from './verdict.js'
export { toVerdictJson, type VerdictJson } from './verdict-json.js'
export { visibleJson } from './visible-json.js'
export {
  type ImageList,
  type ParsedWorkload,
  parseWorkload,
  WORKLOAD_KINDS,
  type Workload,
  type WorkloadImage,
} from './workload.js'
