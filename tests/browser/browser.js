// How Chromium is started, for tests and for the bench. TT_CHROMIUM names another one.
import { chromium } from 'playwright-core';

export const EXECUTABLE = process.env.TT_CHROMIUM ?? '/usr/bin/chromium';
export const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

export const launchChromium = () => chromium.launch({ executablePath: EXECUTABLE, args: FLAGS });
