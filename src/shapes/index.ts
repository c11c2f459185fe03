/** The public door of the shapes. */

export {
  described,
  list,
  nullable,
  type ObjectOf,
  object,
  openObject,
  optional,
  table,
  textOr,
  withFallback,
} from './containers.js'
export {
  describeShapeProblem,
  type JsonSchema,
  type ReadShape,
  readShape,
  type Shape,
  type ShapePath,
  type ShapeProblem,
  type ValueOf,
} from './shape.js'
export { choice, flag, quantity, text, whole } from './values.js'
