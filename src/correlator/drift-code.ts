/** The codes of the family `image-drift/<code>`, in the order in which they are asked: why an unwanted image runs. */

export const DRIFT_CODES = [
  /** The kubelet started it from its own files: the API server was never asked. */
  'bypass.static-pod',
  /** The webhook is not called for the namespace. */
  'bypass.namespace-excluded',
  /** No webhook was registered for such pods when the image came in. */
  'bypass.webhook-absent',
  /** The webhook could not be reached, and the API server let the request pass. */
  'bypass.fail-open',
  /** It came by a subresource that the webhook is not called for. */
  'bypass.subresource',
  /** The webhook saw it, and warn or audit mode let it in. */
  'admitted.warn-mode',
  /** It runs only thanks to an exception that still lives. */
  'admitted.exception-active',
  /** It was let in under an exception that is over, or gone from the policy. */
  'admitted.exception-expired',
  /** It was allowed under another revision of the policy. */
  'admitted.policy-tightened',
  /** Another image was admitted, and this one took its place unseen. */
  'mutated.after-admission',
  /** The same tag has another content elsewhere, or had another one before. */
  'digest.tag-moved',
  /** Replicas of one workload run different contents under one tag. */
  'digest.mixed-rollout',
  /** The node knows the image by its content alone: it was built or imported there. */
  'image.local-or-unknown',
  /** The program that runs is no file of the image. */
  'binary.not-from-image',
  /** Everything says that the webhook ran, and there is no record. With certainty `unknown`: nothing is claimed. */
  'unexplained',
] as const

export type DriftCode = (typeof DRIFT_CODES)[number]
