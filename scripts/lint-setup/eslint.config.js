import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  { files: ["page.js"], languageOptions: { sourceType: "script", globals: globals.browser } },
];
