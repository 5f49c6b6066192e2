import 'caac-hub/sw';
