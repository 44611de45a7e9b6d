#!/usr/bin/env node
// So that `npx scorewire` works in a checkout as it does where the package is installed.
import '../../bin/scorewire.js';
