/** What .scripts/bundle.js makes one file of: the module, and what a page's dedicated Worker takes from it. */
export * from './tabtensor.js';
export { serve } from './serve.js';
