// The QR code's secret stands after the # of the address: a browser never sends that, so a script has to.
"use strict";

function take() {
  const secret = location.hash.slice(1);
  if (!secret) {
    return;
  }
  document.getElementById("code").value = secret;
  document.getElementById("typed").hidden = true;
  document.getElementById("how").hidden = true;
  document.getElementById("scanned").hidden = false;
  const named = document.getElementById("named");
  if (named) {
    named.hash = secret; // the same code, at the box's name
  }
  // Not in the history, and not on the screen for whoever looks over the shoulder.
  history.replaceState(null, "", location.pathname);
}

take();
addEventListener("hashchange", take); // another code, scanned into the same tab
