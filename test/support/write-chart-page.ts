/** `npm run chart`: writes the table of the chart's values into its page. */

import { readFileSync, writeFileSync } from 'node:fs'
import { CHART_PAGE, readValues, VALUES_FILE, withValuesTable } from './chart-values.js'

const values = readValues(readFileSync(VALUES_FILE, 'utf8'))
writeFileSync(CHART_PAGE, withValuesTable(readFileSync(CHART_PAGE, 'utf8'), values))
