// ESLint for the module, the pages and the tests: its recommended rules, for the hosts each runs in.
import js from '@eslint/js';
import globals from 'globals';

export default [
  { ignores: ['web/core/**', 'build/**'] },
  js.configs.recommended,
  {
    languageOptions: { ecmaVersion: 2024, sourceType: 'module' },
    rules: {
      eqeqeq: 'error',
      'no-shadow': 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      'no-unused-vars': ['error', { argsIgnorePattern: '^_', caughtErrors: 'none' }],
    },
  },
  { files: ['web/**/*.js'], languageOptions: { globals: { ...globals.browser, ...globals.worker, process: 'readonly' } } },
  { files: ['tests/**/*.js', '.scripts/**/*.js'], languageOptions: { globals: { ...globals.node, ...globals.browser } } },
];
