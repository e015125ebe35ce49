// How the modules of the page are linted: `npx eslint --config .ci/eslint.config.mjs pytest_droplet/report/page`.
import js from '@eslint/js';

const browser = [
  'addEventListener', 'cancelAnimationFrame', 'clearTimeout', 'devicePixelRatio', 'document', 'getComputedStyle',
  'history', 'innerHeight', 'innerWidth', 'location', 'matchMedia', 'requestAnimationFrame', 'ResizeObserver',
  'setTimeout', 'URLSearchParams',
];

export default [
  js.configs.recommended,
  {
    files: ['pytest_droplet/report/page/*.js'],
    languageOptions: {
      ecmaVersion: 2022,
      globals: Object.fromEntries(browser.map((name) => [name, 'readonly'])),
    },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      eqeqeq: 'error',
      'max-len': ['error', 120],
      'no-implicit-coercion': ['error', { allow: ['+'] }],
      'no-restricted-properties': ['error', ...['innerHTML', 'outerHTML', 'insertAdjacentHTML', 'write', 'srcdoc']
        .map((property) => ({ property, message: 'Text of hosts never becomes markup.' }))],
      'no-restricted-syntax': ['error', 'ExportDefaultDeclaration', 'ExportAllDeclaration', 'ImportExpression'],
      'no-shadow': 'off',
      'no-var': 'error',
      'prefer-const': 'error',
      quotes: ['error', 'single', { avoidEscape: true }],
      semi: ['error', 'always'],
    },
  },
];
